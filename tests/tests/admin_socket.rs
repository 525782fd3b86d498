//! The socket of a running server: for whom it is, when it is there, and what it answers.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::process::geteuid;
use tests::operator::{Operator, SOCKET, admin, admin_json};
use tests::process::{Program, Server};
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::admin::{AdminAnswer, AdminCall, AdminHello, AdminProblem, AdminReply, magic};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// A user who is nobody, on every system.
const NOBODY: &str = "65534";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_server() {
    // Protects the credits from everybody else on the machine.
    let parent = tempfile::tempdir().expect("a temporary directory");
    let data = parent.path().join("new");
    let server = Server::start(MITE, &data, &[]);
    let socket = data.join(SOCKET);
    let kind = fs::symlink_metadata(&socket).expect("it is there").file_type();
    assert!(kind.is_socket());
    assert_eq!((mode(&socket), mode(&data)), (0o600, 0o700));
    server.stop();
    assert!(!socket.exists(), "nobody takes connections any more");
    let ended = admin(MITE, &data, &["status"]);
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert!(ended.stderr.iter().any(|line| line.contains("is the server running?")), "{ended:?}");
}

#[test]
fn the_socket_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not() {
    // The story: a server is killed, its socket stays, and nothing can be done at the next one; or a second
    // server that is started by mistake takes the socket of the first one away.
    let data = tempfile::tempdir().expect("a temporary directory");
    Server::start(MITE, data.path(), &[]).program.kill();
    assert!(data.path().join(SOCKET).exists(), "a dead server removes nothing");
    assert_eq!(admin(MITE, data.path(), &["status"]).status.code(), Some(7));
    let server = Server::start(MITE, data.path(), &[]);
    let mut operator = Operator::connect(data.path());
    let second = Server::launch(MITE, ([127, 0, 0, 1], 0).into(), data.path(), &[]).wait();
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    assert!(operator.call(&AdminCall::Status).is_ok());
    assert!(Operator::connect(data.path()).call(&AdminCall::Status).is_ok());
    server.stop();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    // Protects what somebody has put there; the server serves all the same.
    let data = tempfile::tempdir().expect("a temporary directory");
    let socket = data.path().join(SOCKET);
    fs::write(&socket, "mine").expect("a new file");
    let server = Server::start(MITE, data.path(), &[]);
    server.program.error_line_with("operators cannot connect");
    Connection::log_in(server.address, "alice", 5001);
    server.stop();
    assert_eq!(fs::read(&socket).expect("it is there"), b"mine");
}

#[test]
fn another_user_is_turned_away_even_if_the_file_lets_it_in() {
    // The story: a careless chmod of the directory and of the socket gives the treasury to everybody.
    if !geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    open(data.path(), 0o755);
    open(&data.path().join(SOCKET), 0o666);
    let path = data.path().to_str().expect("temporary paths are text");
    let become_nobody = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", MITE];
    let status = ["--role", "admin", "--data", path, "status"];
    let ended = Program::start("setpriv", [&become_nobody[..], &status].concat()).wait();
    if ended.stderr.iter().any(|line| line.contains("failed to execute")) {
        println!("skipped: nobody may not start the program: {ended:?}");
        return;
    }
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    server.program.error_line_with("user 65534 is not the server's");
    assert!(admin(MITE, data.path(), &["status"]).status.success());
    server.stop();
}

#[test]
fn the_status_is_what_the_server_is() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let server_key = server.program.line_with("server key ");
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    Connection::log_in(server.address, "bob", 5002);
    alice.ask("bob#10#alice\n", "100 OK\n");
    let status = admin_json(MITE, data.path(), &["status"]);
    let text = |name: &str| status[name].as_str().expect(name).to_owned();
    let number = |name: &str| status[name].as_u64().expect(name);
    assert_eq!(format!("server key {}", text("server_key")), server_key);
    assert_eq!((text("condition"), text("version")), ("writing".into(), "0.1.0".into()));
    assert_eq!(text("head").len(), 64);
    assert_eq!(["entries", "accounts", "frozen", "supply"].map(number), [3, 2, 0, 2000]);
    assert!((1..=2).contains(&number("connections")), "bob may have been seen to go: {status}");
    assert!(number("batch") >= 1 && number("journal_bytes") >= 512 && number("free_bytes") > 0);
    assert!(number("started_ms") <= number("now_ms") && number("written_ms") <= number("now_ms"));
    assert!(status["snapshot_batch"].is_null() && status["why"].is_null());

    let ended = admin(MITE, data.path(), &["status"]);
    let said = ended.stdout.join("\n");
    for words in ["the server takes payments", "2, 0 of them frozen", "2000 credits", "bytes free"]
    {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    server.stop();
}

#[test]
fn all_who_are_online_are_told_listed_or_not() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let nobody = admin(MITE, data.path(), &["online"]);
    assert_eq!(nobody.stdout, ["nobody is online"]);
    let _alice = Connection::log_in(server.address, "alice", 5001);
    let _bob = SecureClient::registered(server.address, &key(2), "bob");
    let online = admin_json(MITE, data.path(), &["online"]);
    let people = online["online"].as_array().expect("a list");
    let told: Vec<_> = people
        .iter()
        .map(|person| {
            (person["name"].as_str(), person["key"].is_null(), person["address"].as_str())
        })
        .collect();
    let expected = [(Some("alice"), true, Some("127.0.0.1:5001")), (Some("bob"), false, None)];
    assert_eq!(told, expected);
    // Page by page, as the program asks if they are many.
    let mut operator = Operator::connect(data.path());
    let first = operator.call(&AdminCall::Online { after: None, limit: 1 });
    let Ok(AdminAnswer::Online { people, more: true }) = first else { panic!("{first:?}") };
    let after = Some(people[0].name.clone());
    let second = operator.call(&AdminCall::Online { after, limit: 1 });
    let Ok(AdminAnswer::Online { people, more: false }) = second else { panic!("{second:?}") };
    assert_eq!(people[0].name.as_str(), "bob");
    assert_eq!(admin_json(MITE, data.path(), &["status"])["online"], 2);
    server.stop();
}

#[test]
fn what_is_no_call_ends_its_own_connection_alone() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut good = Operator::connect(data.path());

    // Another version: the server says its own, and no more.
    let mut newer = Operator::open(data.path());
    newer.say(&AdminHello { magic: magic::OPERATOR, version: 9 });
    assert_eq!(newer.hear::<AdminHello>().expect("its own"), AdminHello::new(magic::SERVER));
    assert!(newer.hear::<AdminReply>().is_err());
    // Not even a hello.
    let mut stranger = Operator::open(data.path());
    stranger.send(b"GET / HTTP/1.1\r\n\r\n");
    assert!(stranger.hear::<AdminHello>().is_err());
    // No call, a call with bytes behind it, and one that says that it is huge.
    for bytes in [
        &[4, 0, 0, 0, 0xFF, 0xFF, 0, 0][..],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xFF, 0xFF, 0xFF, 0x7F],
        &[1, 0x20, 0, 0],
    ] {
        let mut attacker = Operator::connect(data.path());
        attacker.send(bytes);
        let reply: AdminReply = attacker.hear().expect("a word");
        assert_eq!(reply, Err(AdminProblem::Malformed), "{bytes:?}");
        assert!(attacker.hear::<AdminReply>().is_err(), "{bytes:?}");
    }
    assert!(good.call(&AdminCall::Status).is_ok());
    server.stop();
}

#[test]
fn operators_are_not_let_in_without_end() {
    // Protects the server's files from a script that leaks connections.
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let mut first: Vec<_> = (0..8).map(|_| Operator::connect(data.path())).collect();
    let mut one_more = Operator::open(data.path());
    assert_eq!(one_more.hear::<AdminHello>().expect("a word"), AdminHello::new(magic::SERVER));
    assert_eq!(one_more.hear::<AdminReply>().expect("a word"), Err(AdminProblem::Busy));
    assert!(one_more.hear::<AdminReply>().is_err(), "it is closed");
    server.program.error_line_with("too many are connected");
    let told = admin(MITE, data.path(), &["status"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(told.stderr.iter().any(|line| line.contains("the server is busy")), "{told:?}");
    assert!(first.iter_mut().all(|operator| operator.call(&AdminCall::Status).is_ok()));
    // Each that goes makes room.
    first.truncate(7);
    server.program.signal(rustix::process::Signal::TERM);
    assert!(server.program.wait().status.success());
}
