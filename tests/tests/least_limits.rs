//! A server that is told to take as little as it can: whoever does nothing wrong is served all the same, and
//! whoever sends more is told why.

use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::person::Person;
use tests::process::Server;
use tests::secure::{SecureClient, key};
use tests::text::Connection;
use wire::secure::{Answer, Call, OrderAnswer, Problem, ServerFrame};
use wire::signature;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

/// The least that each of these flags can be.
const LEAST: [&str; 8] = [
    "--line-bytes-max",
    "278",
    "--frame-bytes-max",
    "36928",
    "--input-bytes-per-session-max",
    "36928",
    "--output-bytes-per-session-max",
    "1183744",
];

/// The most orders in a call of 36,928 bytes.
const ORDERS: u64 = 64;

fn server() -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server =
        Server::start(MITE, data.path(), &[&["--opening-balance", "1000000"], &LEAST[..]].concat());
    (data, server)
}

#[test]
fn clients_pay_and_are_paid() {
    let (_data, server) = server();
    let bob = Person::online(MITE, server.address, "bob");
    let mut alice = Person::online(MITE, server.address, "alice");
    let paid = alice.pay("bob 10 for the coffee");
    assert_eq!(paid.balance, 999_990);
    bob.expect(&format!("received 10 from alice, memo \"for the coffee\"; receipt {}…", paid.id));
    // By text, with requests that are as long as valid ones are.
    let [payer, payee] = ["\u{e0}", "\u{f1}"].map(|letter| letter.repeat(32));
    Connection::open(server.address).ask(&format!("REGISTER#{payer}\n"), "100 OK\n");
    let mut text = Connection::log_in(server.address, &payee, 5001);
    let request = format!("{payer}#1#{payee}\n");
    let count = 100_000 / request.len();
    text.send(request.repeat(count));
    text.expect("100 OK\n".repeat(count));
    server.stop();
}

/// What a client that pays much at once learns from the welcome is enough to go by.
#[test]
fn the_load_generator_keeps_to_what_the_server_takes() {
    let (_data, server) = server();
    let address = server.address.to_string();
    let short = ["--rounds", "1", "--duration", "100ms", "--accounts", "20"];
    let args = ["--role", "bench", "pipeline", "--protocol", "secure", "--server", &address];
    let window = ["--connections", "2", "--window", "500"];
    let mut bench = Command::new(MITE);
    bench.args([&args[..], &window, &short].concat()).stdin(Stdio::null());
    let output = bench.output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    server.stop();
}

#[test]
fn whoever_sends_more_is_told_why() {
    let (_data, server) = server();
    let mut bob = SecureClient::registered(server.address, &key(2), "bob");
    SecureClient::registered(server.address, &key(1), "alice");
    let mut alice = SecureClient::connect(server.address, &key(1));
    let payee_key = Some(signature::public_key(&key(2)));
    let orders = |client: &SecureClient, count| {
        let order = |_| client.order(&key(1), "bob", payee_key, 1);
        Call::SubmitOrders { orders: (0..count).map(order).collect() }
    };
    assert_eq!(u64::from(alice.welcome.limits.orders_per_call_max), ORDERS);
    let call = orders(&alice, ORDERS);
    let Ok(Answer::Orders(answers)) = alice.call(call) else { panic!("outcomes") };
    let settled = |answer: &OrderAnswer| matches!(answer, OrderAnswer::Decided { .. });
    assert!(answers.len() == 64 && answers.iter().all(settled), "{answers:?}");
    let call = orders(&alice, ORDERS + 1);
    assert_eq!(alice.call(call), Err(Problem::TooMany));
    let call = orders(&alice, 512);
    alice.begin(call).expect("the server reads");
    let last_word = alice.stream.receive::<ServerFrame>().expect("a last word");
    assert_eq!(last_word, ServerFrame::Closing(Problem::TooMany));

    let mut text = Connection::open(server.address);
    text.ask(&format!("{}\n", "x".repeat(278)), "200 BAD_REQUEST\n");
    text.ask(&"x".repeat(279), "200 BAD_REQUEST\n");
    text.expect_close();
    assert!(bob.call(Call::ReadBalance).is_ok(), "nobody else notices");
    server.stop();
}
