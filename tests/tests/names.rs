//! Names over real sockets: nobody gets one that others would take for somebody else's.

use tempfile::TempDir;
use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const REGISTERED: &str = "100 OK\n";
const REGISTER_FAILED: &str = "210 FAIL\n";
const LOG_IN_FAILED: &str = "220 AUTH_FAIL\n";

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

fn register(connection: &mut Connection, name: &str, reply: &str) {
    println!("{name:?}");
    connection.ask(&format!("REGISTER#{name}\n"), reply);
}

const DISGUISES: [&str; 16] = [
    "Alice",
    "ALICE",
    "aIice",                               // a capital I
    "a1ice",                               // a one
    "a|ice",                               // a bar
    "\u{430}lice",                         // Cyrillic а
    "\u{430}\u{4cf}\u{456}\u{441}\u{435}", // all of it Cyrillic
    "\u{391}LICE",                         // Greek Α
    "ａｌｉｃｅ",                          // wide
    "al\u{131}ce",                         // i without its dot
    "ali\u{307}ce",                        // i with another one
    "al\u{200b}ice",                       // a space without width
    "alice\u{200d}",                       // a joiner
    "\u{202e}ecila",                       // written backwards, shown forwards
    "a\u{34f}lice",                        // an invisible mark
    "alice\u{fe0f}",                       // a variant of e
];

/// Protects payers who read names: whoever is not alice does not look like alice on the list.
#[test]
fn nobody_else_looks_like_alice() {
    for dialect in ["seed", "ta2021"] {
        let (_data, server) = start(&["--text-dialect", dialect]);
        let mut alice = Connection::log_in(server.address, "alice", 5001);
        let mut mallory = Connection::open(server.address);
        for disguise in DISGUISES {
            register(&mut mallory, disguise, REGISTER_FAILED);
            mallory.ask(&format!("{disguise}#5002\n"), LOG_IN_FAILED);
        }
        register(&mut mallory, "alicia", REGISTERED);
        alice.send("List\n");
        assert_eq!(alice.list().1, ["alice#127.0.0.1#5001"]);
    }
}

/// Protects names across a restart: what the journal rebuilds knows their looks, too.
#[test]
fn a_restarted_server_knows_who_looks_like_whom() {
    let (data, server) = start(&[]);
    let mut alice = Connection::open(server.address);
    register(&mut alice, "alice", REGISTERED);
    register(&mut alice, "Straße", REGISTERED);
    drop(alice);
    server.stop();
    let server = Server::start(MITE, data.path(), &[]);
    let mut mallory = Connection::open(server.address);
    for disguise in ["aIice", "ALICE", "strasse", "STRASSE", "alice"] {
        register(&mut mallory, disguise, REGISTER_FAILED);
    }
    register(&mut mallory, "mallory", REGISTERED);
}

/// Protects the operator, who is asked why: the log says which rule a name breaks, and never shows
/// the character itself in the reason.
#[test]
fn the_log_says_why_a_name_is_refused() {
    let (_data, server) = start(&[]);
    let mut mallory = Connection::open(server.address);
    register(&mut mallory, "alice", REGISTERED);
    register(&mut mallory, "aIice", REGISTER_FAILED);
    register(&mut mallory, "p\u{430}ypal", REGISTER_FAILED);
    register(&mut mallory, "x\u{202e}y", REGISTER_FAILED);
    drop(mallory);
    let log = server.stop().stderr.join("\n");
    for why in [
        "the name is too similar to another account's",
        "the name mixes scripts: use letters of one script only",
        "U+202E cannot be in a new name",
    ] {
        assert!(log.contains(why), "{why:?} in:\n{log}");
    }
}
