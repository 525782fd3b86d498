//! Every reply of the text protocol, byte for byte: both dialects, every way to end a request.

use std::time::Duration;

use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const BAD: Reply = Reply::Differs("200 BAD_REQUEST\n", "230 Input format error\n");
const NOT_LOGGED_IN: Reply = Reply::Differs("220 AUTH_FAIL\n", "Please login first\n");
const LOG_IN_FAILED: Reply = Reply::Same("220 AUTH_FAIL\n");
const REGISTERED: Reply = Reply::Same("100 OK\n");
const REGISTER_FAILED: Reply = Reply::Same("210 FAIL\n");
const NO_PERMISSION: Reply = Reply::Same("Transfer failed due to no permission.\n");
const INVALID_USER: Reply = Reply::Same("Transfer failed due to invalid user.\n");
const NOT_POSITIVE: Reply =
    Reply::Differs("Transfer failed due to negative amount.\n", "Transfer Fail!\n");
const TOO_LITTLE: Reply = Reply::DiffersToPayer(
    "Transfer failed due to insufficient balance.\n",
    Some((ALICE, "Transfer Fail!\n")),
);
const SETTLED: Reply = Reply::DiffersToPayer("100 OK\n", Some((ALICE, "Transfer OK!\n")));
const SETTLED_FOR_ONE_OFFLINE: Reply = Reply::DiffersToPayer("100 OK\n", None);

const NAME_OF_33: &str = "REGISTER#nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
const NAME_OF_32: &str = "REGISTER#nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

/// Which connection.
type Who = usize;
const ALICE: Who = 0;
const BOB: Who = 1;
/// Not logged in at first.
const STRANGER: Who = 2;

#[derive(Clone, Copy, Debug)]
enum Reply {
    /// These bytes to who asked.
    Same(&'static str),
    /// These bytes to who asked, by dialect.
    Differs(&'static str, &'static str),
    /// With `seed` these bytes to who asked; with `ta2021` those to that connection, or to nobody.
    DiffersToPayer(&'static str, Option<(Who, &'static str)>),
    /// A list: the opening balance and this much, and who is online.
    List(i64, &'static [&'static str]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Seed,
    Ta2021,
}

const BOTH: &[&str] = &["alice#127.0.0.1#5001", "bob#127.0.0.1#5002"];
const ALL: &[&str] = &["alice#127.0.0.1#5001", "bob#127.0.0.1#5002", "newcomer#127.0.0.1#65535"];

/// In order: what is asked by whom, and what comes of it. carol has an account and is offline.
const ROWS: &[(Who, &str, Reply)] = &[
    // before the log-in
    (STRANGER, "List", NOT_LOGGED_IN),
    (STRANGER, "alice#10#bob", NOT_LOGGED_IN),
    (STRANGER, "alice#-10#bob", NOT_LOGGED_IN),
    // registering
    (STRANGER, "REGISTER#alice", REGISTER_FAILED),
    (STRANGER, "REGISTER#carol", REGISTER_FAILED),
    (STRANGER, "REGISTER#", REGISTER_FAILED),
    (STRANGER, "REGISTER#List", REGISTER_FAILED),
    (STRANGER, "REGISTER#eXIT", REGISTER_FAILED),
    (STRANGER, "REGISTER#register", REGISTER_FAILED),
    (STRANGER, "REGISTER#12345", REGISTER_FAILED),
    (STRANGER, "REGISTER#a b", REGISTER_FAILED),
    (STRANGER, "REGISTER#a\tb", REGISTER_FAILED),
    (STRANGER, "REGISTER#a#b", REGISTER_FAILED),
    (STRANGER, NAME_OF_33, REGISTER_FAILED),
    (STRANGER, NAME_OF_32, REGISTERED),
    (STRANGER, "REGISTER#Zoë", REGISTERED),
    (STRANGER, "REGISTER#newcomer", REGISTERED),
    (STRANGER, "REGISTER#newcomer", REGISTER_FAILED),
    // logging in
    (STRANGER, "nobody#7001", LOG_IN_FAILED),
    (STRANGER, "newcomer#0", LOG_IN_FAILED),
    (STRANGER, "newcomer#65536", LOG_IN_FAILED),
    (STRANGER, "newcomer#70000", LOG_IN_FAILED),
    (STRANGER, "newcomer#-1", LOG_IN_FAILED),
    (STRANGER, "newcomer#abc", LOG_IN_FAILED),
    (STRANGER, "newcomer#", LOG_IN_FAILED),
    (STRANGER, "List", NOT_LOGGED_IN),
    // anything else, before and after the log-in
    (STRANGER, "hello", BAD),
    (STRANGER, "LIST", BAD),
    (STRANGER, "list", BAD),
    (STRANGER, "List ", BAD),
    (STRANGER, "exit", BAD),
    (STRANGER, "REGISTER", BAD),
    (STRANGER, "a#1#b#2#c", BAD),
    (BOB, "GET / HTTP/1.1", BAD),
    (BOB, "alice#10#bob#", BAD),
    // lists
    (ALICE, "List", Reply::List(0, BOTH)),
    (STRANGER, "newcomer#65535", Reply::List(0, ALL)),
    // payments
    (BOB, "alice#100#bob", SETTLED),
    (ALICE, "List", Reply::List(-100, ALL)),
    (BOB, "List", Reply::List(100, ALL)),
    (BOB, "carol#50#bob", SETTLED_FOR_ONE_OFFLINE),
    (BOB, "List", Reply::List(150, ALL)),
    (BOB, "alice#1000000#bob", TOO_LITTLE),
    (BOB, "alice#18446744073709551615#bob", TOO_LITTLE),
    (BOB, "alice#-10#bob", NOT_POSITIVE),
    (BOB, "alice#0#bob", NOT_POSITIVE),
    (BOB, "alice#18446744073709551616#bob", BAD),
    (BOB, "alice##bob", BAD),
    (BOB, "alice#ten#bob", BAD),
    (BOB, "bob#10#alice", NO_PERMISSION),
    (STRANGER, "alice#10#bob", NO_PERMISSION),
    (BOB, "nobody#10#bob", INVALID_USER),
    (BOB, "bob#10#bob", INVALID_USER),
    // nothing of that moved anything
    (ALICE, "List", Reply::List(-100, ALL)),
    (BOB, "List", Reply::List(150, ALL)),
    (STRANGER, "List", Reply::List(0, ALL)),
];

/// How a request ends on the wire, and how it gets there.
struct Ending {
    bytes: Vec<u8>,
    torn: bool,
}

impl Ending {
    fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), torn: false }
    }

    fn torn(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), torn: true }
    }

    fn send(&self, request: &str, connection: &mut Connection) {
        let message = [request.as_bytes(), &self.bytes].concat();
        if self.torn {
            // In the middle of the request, and in the middle of what ends it.
            let (first, rest) = message.split_at(1);
            let (middle, last) = rest.split_at(rest.len() - 1);
            connection.send_torn([first, middle, last], TORN_PAUSE);
        } else {
            connection.send(message);
        }
    }
}

/// Long enough for a segment to be read alone, and much shorter than [`TORN_QUIET`].
const TORN_PAUSE: Duration = Duration::from_millis(2);
const TORN_QUIET: &str = "60ms";
/// Longer than any quiet time here.
const SILENCE: Duration = Duration::from_millis(200);

/// What a fixed-size buffer still holds behind the NUL: 2,000 bytes in all, requests and no text.
fn stale_garbage() -> Vec<u8> {
    let mut garbage = b"\0List\0#5001\0ice\nExit\nREGISTER#ghost\r\n\xff\xfe".to_vec();
    garbage.resize(2000, 0xca);
    garbage
}

fn check_all_rows(dialect: Dialect, ending: &Ending) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let quiet = if ending.torn { TORN_QUIET } else { "2ms" };
    let name = if dialect == Dialect::Seed { "seed" } else { "ta2021" };
    let args = ["--text-dialect", name, "--text-quiet", quiet];
    let server = Server::start(MITE, data.path(), &args);
    let opening: i64 = if dialect == Dialect::Seed { 1000 } else { 10_000 };
    let mut helper = Connection::log_in(server.address, "carol", 5000);
    helper.send("List\n");
    helper.line();
    let key = helper.line();
    helper.send("Exit\n");
    assert!(helper.rest().ends_with("Bye\n"));
    // Gone for sure before the others look at the list.
    drop(helper);

    let mut connections = [(); 3].map(|()| Connection::open(server.address));
    for (who, name, port) in [(ALICE, "alice", 5001), (BOB, "bob", 5002)] {
        ending.send(&format!("REGISTER#{name}"), &mut connections[who]);
        connections[who].expect("100 OK\n");
        ending.send(&format!("{name}#{port}"), &mut connections[who]);
        let (balance, _) = connections[who].list();
        assert_eq!(i64::try_from(balance), Ok(opening));
    }
    for (row, (who, request, reply)) in ROWS.iter().enumerate() {
        println!("row {row}: {request:?} {reply:?}");
        ending.send(request, &mut connections[*who]);
        let (hearer, bytes) = match (*reply, dialect) {
            (Reply::Same(line), _)
            | (Reply::Differs(line, _) | Reply::DiffersToPayer(line, _), Dialect::Seed)
            | (Reply::Differs(_, line), Dialect::Ta2021) => (*who, line.to_owned()),
            (Reply::DiffersToPayer(_, Some((payer, line))), Dialect::Ta2021) => {
                (payer, line.to_owned())
            }
            (Reply::DiffersToPayer(_, None), Dialect::Ta2021) => {
                // Without an answer the sender must wait before the next unterminated request.
                connections[*who].expect_silence(SILENCE);
                continue;
            }
            (Reply::List(change, online), _) => {
                let head = format!("{}\n{key}\n{}\n", opening + change, online.len());
                (*who, head + &online.join("\n") + "\n")
            }
        };
        connections[hearer].expect(bytes);
    }
    // Nothing but the replies came: the next bytes are the farewell, on every connection.
    for mut connection in connections {
        ending.send("Exit", &mut connection);
        connection.expect("Bye\n");
        connection.expect_close();
    }
}

/// One test for each end of a request and dialect, so that a failure names both.
macro_rules! every_row {
    ($($name:ident: $ending:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Protects the exact words of the default dialect.
            #[test]
            fn seed() {
                check_all_rows(Dialect::Seed, &$ending);
            }

            /// Protects the exact words of the family's reference server, and who hears them.
            #[test]
            fn ta2021() {
                check_all_rows(Dialect::Ta2021, &$ending);
            }
        }
    )*};
}

every_row! {
    ended_by_nothing: Ending::whole("");
    ended_by_lf: Ending::whole("\n");
    ended_by_crlf: Ending::whole("\r\n");
    ended_by_nul: Ending::whole("\0");
    ended_by_nul_and_zeros: Ending::whole([0; 2000]);
    ended_by_nul_and_stale_garbage: Ending::whole(stale_garbage());
    torn_and_ended_by_nothing: Ending::torn("");
    torn_and_ended_by_lf: Ending::torn("\n");
    torn_and_ended_by_crlf: Ending::torn("\r\n");
    torn_and_ended_by_nul: Ending::torn("\0");
    torn_and_ended_by_stale_garbage: Ending::torn(stale_garbage());
}

/// Protects programs that send a line end and nothing before it: it is answered, not passed over.
#[test]
fn an_empty_request_is_a_bad_one() {
    for (dialect, reply) in [("seed", "200 BAD_REQUEST\n"), ("ta2021", "230 Input format error\n")]
    {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &["--text-dialect", dialect]);
        for end in ["\n", "\r\n", "\0"] {
            let mut connection = Connection::open(server.address);
            connection.ask(end, reply);
            connection.ask(end, reply);
            connection.ask("Exit\n", "Bye\n");
            connection.expect_close();
        }
    }
}

/// Protects the supply: an account that cannot be granted its opening balance is not opened, and
/// the client is told that the server cannot do it now.
#[test]
fn a_supply_that_is_used_up_is_said() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let everything = u64::MAX.to_string();
    let server = Server::start(MITE, data.path(), &["--opening-balance", &everything]);
    let mut rich = Connection::log_in(server.address, "rich", 5001);
    assert_eq!(rich.balance(), u64::MAX);
    rich.ask("REGISTER#poor\n", "220 ERROR\n");
    rich.ask("poor#5002\n", "220 AUTH_FAIL\n");
    assert_eq!(rich.balance(), u64::MAX);
}

/// Protects programs of the family that cannot take a byte that they did not ask for.
#[test]
fn nothing_comes_unasked() {
    for dialect in ["seed", "ta2021"] {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start(MITE, data.path(), &["--text-dialect", dialect]);
        let mut connection = Connection::open(server.address);
        connection.expect_silence(SILENCE);
        connection.ask("REGISTER#alice\n", "100 OK\n");
        connection.expect_silence(SILENCE);
    }
}
