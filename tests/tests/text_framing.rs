//! Where requests end: line mode, pipelines, the quiet time, and requests that are too much.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// Many times the quiet time of 2 ms.
const LONG_PAUSE: Duration = Duration::from_millis(50);

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

/// The lines of the answer to a list, for one who is alone.
fn alone(balance: u64, key: &str) -> String {
    format!("{balance}\n{key}\n1\nalice#127.0.0.1#5001\n")
}

/// The server's key: from a list of somebody who leaves again.
fn key_of(server: &Server) -> String {
    let mut connection = Connection::log_in(server.address, "keyreader", 5000);
    connection.send("List\nExit\n");
    connection.rest().lines().nth(1).expect("a list has a key line").to_owned()
}

/// Protects programs that end their lines: once one has, no pause cuts a request in two.
#[test]
fn in_line_mode_a_pause_ends_nothing() {
    let (_data, server) = start(&[]);
    for end in ["\n", "\r\n"] {
        let mut connection = Connection::open(server.address);
        connection.ask(&format!("hello{end}"), "200 BAD_REQUEST\n");
        connection.send("REGI");
        connection.expect_silence(LONG_PAUSE);
        connection.send("STER#a");
        connection.expect_silence(LONG_PAUSE);
        connection.send(format!("{}\r", end.len()));
        connection.expect_silence(LONG_PAUSE);
        connection.ask("\n", "100 OK\n");
        // A NUL is a byte like any other now.
        connection.ask(&format!("Exit\0{end}"), "200 BAD_REQUEST\n");
        connection.send("Exit\0");
        connection.expect_silence(LONG_PAUSE);
        connection.ask(end, "200 BAD_REQUEST\n");
        connection.ask(&format!("Exit{end}"), "Bye\n");
        connection.expect_close();
    }
}

/// Protects the other mode: without line ends it is the pause that ends a request.
#[test]
fn before_the_first_line_end_a_pause_ends_a_request() {
    let (_data, server) = start(&[]);
    let mut connection = Connection::open(server.address);
    connection.ask("Li", "200 BAD_REQUEST\n");
    connection.ask("st", "200 BAD_REQUEST\n");
    connection.ask("REGISTER#alice", "100 OK\n");
    // From here on in lines.
    connection.ask("Li\n", "200 BAD_REQUEST\n");
    connection.send("Li");
    connection.expect_silence(LONG_PAUSE);
    connection.ask("st\n", "220 AUTH_FAIL\n");
}

/// Protects programs that send ahead: thousands of requests in one write are answered, in order.
#[test]
fn thousands_of_requests_in_one_write_are_answered_in_order() {
    const REQUESTS: usize = 5000;
    let (_data, server) = start(&[]);
    let key = key_of(&server);
    let mut connection = Connection::log_in(server.address, "alice", 5001);
    let mut requests = String::new();
    let mut replies = String::new();
    for index in 0..REQUESTS {
        let end = if index % 2 == 0 { "\n" } else { "\r\n" };
        let (request, reply) = match index % 7 {
            0 => (format!("REGISTER#user{index}"), "100 OK\n".to_owned()),
            1 => (format!("user{}#1#alice", index - 1), "100 OK\n".to_owned()),
            2 => (
                "List".to_owned(),
                alone(u64::try_from(1000 + index / 7 + 1).expect("small"), &key),
            ),
            3 => (format!("user{}#1#keyreader", index - 3), NO_PERMISSION.to_owned()),
            4 => (format!("REGISTER#user{}", index - 4), "210 FAIL\n".to_owned()),
            5 => (format!("user{}#1000#alice", index - 5), TOO_LITTLE.to_owned()),
            _ => (format!("nobody#{index}"), "220 AUTH_FAIL\n".to_owned()),
        };
        requests.push_str(&request);
        requests.push_str(end);
        replies.push_str(&reply);
    }
    connection.send(&requests);
    connection.expect(&replies);
    connection.ask("Exit\n", "Bye\n");
}

const NO_PERMISSION: &str = "Transfer failed due to no permission.\n";
const TOO_LITTLE: &str = "Transfer failed due to insufficient balance.\n";

/// Protects the order of what one connection asks, across log-ins and the farewell: each request
/// finds what the ones before it have done.
#[test]
fn a_whole_visit_in_one_write() {
    let (_data, server) = start(&[]);
    let key = key_of(&server);
    let mut connection = Connection::open(server.address);
    connection.send(
        "List\nREGISTER#bob\nREGISTER#alice\nalice#5001\nbob#300#alice\nList\n\
         bob#701#alice\nbob#5002\nList\nbob#1#alice\nExit\nREGISTER#late\nList\n",
    );
    let bob = |balance| format!("{balance}\n{key}\n1\nbob#127.0.0.1#5002\n");
    let expected = [
        "220 AUTH_FAIL\n100 OK\n100 OK\n",
        &alone(1000, &key),
        "100 OK\n",
        &alone(1300, &key),
        TOO_LITTLE,
        &bob(700),
        &bob(700),
        NO_PERMISSION,
        "Bye\n",
    ];
    assert_eq!(connection.rest(), expected.concat());
    // What came after the farewell was not done.
    let mut connection = Connection::open(server.address);
    connection.ask("late#5003\n", "220 AUTH_FAIL\n");
}

/// Protects programs that take a drained socket for the end, if the operator wants that.
#[test]
fn without_a_quiet_time_a_drained_socket_ends_a_request() {
    let (_data, server) = start(&["--text-quiet", "0"]);
    let mut connection = Connection::open(server.address);
    connection.ask("REGISTER#alice", "100 OK\n");
    connection.ask("REGISTER#alice\0", "210 FAIL\n");
    connection.ask("REGISTER#alice\0REGISTER#bob\nREGISTER#carol", "210 FAIL\n");
    connection.ask("REGISTER#bob", "100 OK\n");
    connection.ask("REGISTER#carol\n", "100 OK\n");
    connection.ask("Exit\n", "Bye\n");
}

/// Protects the original client, which hangs if the answer to an unterminated request comes within
/// about a millisecond.
#[test]
fn the_answer_to_an_unterminated_request_is_never_too_fast() {
    let (_data, server) = start(&[]);
    let mut connection = Connection::open(server.address);
    for request in ["hello", "hello\0", "hello\0\0\0"] {
        for _ in 0..20 {
            let start = Instant::now();
            connection.ask(request, "200 BAD_REQUEST\n");
            assert!(start.elapsed() >= Duration::from_millis(1), "{request:?}");
        }
    }
}

/// Protects the operator's choice of the quiet time, and that who ends requests never waits for it.
#[test]
fn the_quiet_time_is_what_the_operator_says() {
    let (_data, server) = start(&["--text-quiet", "250ms"]);
    let mut connection = Connection::open(server.address);
    for request in ["hello", "hello\0"] {
        let start = Instant::now();
        connection.send(request);
        connection.expect_silence(Duration::from_millis(100));
        connection.expect("200 BAD_REQUEST\n");
        assert!(start.elapsed() >= Duration::from_millis(250), "{request:?}");
    }

    // The longest that is taken: whatever is answered sooner did not wait for it.
    let (_data, server) = start(&["--text-quiet", "10s"]);
    let start = Instant::now();
    let mut connection = Connection::open(server.address);
    for _ in 0..10 {
        connection.ask("hello\n", "200 BAD_REQUEST\n");
    }
    // The end of the stream ends a request, too.
    let mut connection = Connection::open(server.address);
    connection.send("hello");
    connection.finish_sending();
    connection.expect("200 BAD_REQUEST\n");
    connection.expect_close();
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Protects money: a payment that was cut off in the middle of a line is none.
#[test]
fn a_line_without_its_end_is_no_request() {
    let (_data, server) = start(&[]);
    let mut alice = Connection::log_in(server.address, "alice", 5001);
    let mut bob = Connection::log_in(server.address, "bob", 5002);
    bob.send("alice#10#bob\nalice#10#bob");
    bob.finish_sending();
    bob.expect("100 OK\n");
    bob.expect_close();
    assert_eq!(alice.balance(), 990);
}

/// Protects the limit from both sides: 1,024 bytes are a request like any other.
#[test]
fn a_request_of_the_greatest_length_is_answered_and_the_connection_stays() {
    let (_data, server) = start(&[]);
    let longest = "x".repeat(1024);
    for end in ["", "\0", "\n", "\r\n"] {
        let mut connection = Connection::open(server.address);
        for _ in 0..3 {
            connection.ask(&format!("{longest}{end}"), "200 BAD_REQUEST\n");
        }
        connection.ask("Exit\n", "Bye\n");
        connection.expect_close();
    }
}

/// Protects against bytes that are no text protocol: one error reply, then the end; and what was
/// asked before them is answered, what comes after them is not done.
#[test]
fn what_is_no_text_protocol_gets_one_reply_and_the_end() {
    let too_long = [b'x'; 1025];
    for (dialect, reply) in [("seed", "200 BAD_REQUEST\n"), ("ta2021", "230 Input format error\n")]
    {
        let (_data, server) = start(&["--text-dialect", dialect]);
        for bytes in [&too_long[..], b"\xff\xfe", b"REGISTER#\xc3", b"\x80#5001"] {
            for end in ["", "\0", "\n", "\r\n", "\nREGISTER#late\nExit\n"] {
                let bytes = [bytes, end.as_bytes()].concat();
                let mut connection = Connection::open(server.address);
                connection.send(&bytes);
                assert_eq!(connection.rest(), reply, "{}", bytes.escape_ascii());
            }
        }
        for (index, bytes) in [
            &[&too_long[..], b"\n"].concat()[..],
            &too_long,
            b"\xff\xfe\n",
            b"\xff\xfe\r\nREGISTER#late\nExit\n",
        ]
        .into_iter()
        .enumerate()
        {
            let mut connection = Connection::open(server.address);
            connection.send([format!("REGISTER#name{index}\nhello\n").as_bytes(), bytes].concat());
            let expected = format!("100 OK\n{reply}{reply}");
            assert_eq!(connection.rest(), expected, "{}", bytes.escape_ascii());
        }
        let mut connection = Connection::open(server.address);
        connection.ask("late#5001\n", "220 AUTH_FAIL\n");
    }
}

/// Protects the server's memory: a line that never ends is cut off, and who sends it gets to read
/// why. Both while it is being sent and when it is sent whole.
#[test]
fn an_endless_line_gets_one_reply_and_the_end() {
    let (_data, server) = start(&[]);
    for before in ["", "hello\n"] {
        for megabytes in [1, 64] {
            let mut connection = Connection::open(server.address);
            let expected = before.replace("hello", "200 BAD_REQUEST") + "200 BAD_REQUEST\n";
            connection.send(before);
            let line = vec![b'x'; megabytes << 20];
            let taken = connection.send_until_stalled(&line, Duration::from_secs(10));
            assert_eq!(connection.rest(), expected);
            if megabytes == 64 {
                assert!(taken < line.len(), "the server has read all of it");
            }
        }
    }
}
