//! The recorded payments between clients, with Mite on either end of the link.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use tests::client::Client;
use tests::listener::Listener;
use tests::text::Connection;

use super::recording::{self, Way};
use super::{MITE, log_in};

/// How a payer goes on when it has sent its payment.
#[derive(Clone, Copy, Debug)]
enum Then {
    KeepsOpen,
    ClosesSending,
    Closes,
}

#[test]
fn mite_takes_the_payments_of_five_recordings() {
    // Protects the server and the account: the server gets what was parsed, never a payer's bytes.
    let bank = Listener::open();
    let mut bob = Client::start(MITE, bank.address);
    let mut server = bank.accept();
    let bob_at = log_in(&mut bob, &mut server, "bob", "1000\nKEY\n0\n");
    let mut balance = 1000;
    for recording in recording::all() {
        let sent = recording.steps.iter().flat_map(|step| &step.sent);
        let mut payment = sent.filter(|sent| sent.way == Way::ToPayee).map(|sent| &sent.bytes);
        let payment = payment.next_back().expect("every recording has a payment");
        for then in [Then::KeepsOpen, Then::ClosesSending, Then::Closes] {
            let story = format!("{} {then:?}", recording.name);
            let mut payer = TcpStream::connect(bob_at).expect("bob listens");
            payer.write_all(payment).expect("bob reads");
            let kept = match then {
                Then::KeepsOpen => Some(payer),
                Then::ClosesSending => {
                    payer.shutdown(Shutdown::Write).expect("a live socket");
                    Some(payer)
                }
                Then::Closes => None,
            };
            assert_eq!(server.message(), "alice#100#bob", "{story}");
            server.send("100 OK\n");
            balance += 100;
            assert_eq!(server.message(), "List", "{story}");
            server.send(format!("{balance}\nKEY\n0\n"));
            bob.expect(&format!("received 100 from alice; balance: {balance}"));
            if let Some(payer) = kept {
                let mut payer = Connection::from_stream(payer);
                payer.expect("100 OK\n");
                payer.expect_close();
            }
        }
    }
    // Nothing of what stood behind the payments comes later.
    server.expect_silence(Duration::from_millis(100));
}

#[test]
fn mite_pays_a_payee_that_takes_the_payment_and_says_nothing() {
    // Protects payments to original clients, which never answer on the link: the balance tells.
    let bank = Listener::open();
    let mut alice = Client::start(MITE, bank.address);
    let mut server = bank.accept();
    let payee = Listener::open();
    let list = |balance: u64| {
        format!("{balance}\n<SERVER_PUBLIC_KEY>\n1\nbob#127.0.0.1#{}\n", payee.address.port())
    };
    log_in(&mut alice, &mut server, "alice", &list(1000));
    alice.type_line("pay bob 100");
    assert_eq!(server.message(), "List");
    server.send(list(1000));
    let mut link = payee.accept();
    link.expect("alice#100#bob");
    link.expect_silence(Duration::from_millis(100));
    // The payee's request has been settled on its own connection.
    for _ in 0..2 {
        assert_eq!(server.message(), "List");
        server.send(list(900));
    }
    alice.expect("paid 100 to bob; balance: 900");
}
