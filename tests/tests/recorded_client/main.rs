//! Mite's client among the programs of the family: the recorded exchanges of five of them in both
//! of a client's roles, and the ways in which their servers differ.

mod peers;
mod recording;
mod replay;
mod variations;

use std::net::SocketAddr;
use std::thread;

use tests::client::{Client, Shown};
use tests::text::Connection;

use self::recording::{Recording, Side};
use self::replay::Replay;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

#[test]
fn the_clients_of_five_recordings_are_mite() {
    // Protects the promise that the client works with the original server and its relatives.
    // At once: with four of them the payee learns the outcome only after a while.
    thread::scope(|scope| {
        for recording in recording::all() {
            scope.spawn(|| play(recording));
        }
    });
}

fn play(recording: Recording) {
    let name = recording.name.clone();
    let steps: Vec<_> =
        recording.steps.iter().map(|step| (step.who.clone(), step.action.clone())).collect();
    let replay = Replay::start(recording);
    let mut clients: [Option<Client>; 2] = [None, None];
    for (index, (who, action)) in steps.iter().enumerate() {
        replay.begin(index);
        let side = if who == "alice" { Side::Alice } else { Side::Bob };
        let at = side.index();
        if action == "start" {
            clients[at] = Some(Client::start(MITE, replay.address()));
            replay.accept(side);
        } else if action == "exit" {
            clients[at].take().expect("it is started").leave();
        } else {
            let [Some(alice), bob] = &mut clients else { panic!("alice starts first") };
            let actor = if at == 0 { &mut *alice } else { bob.as_mut().expect("it is started") };
            match action.as_str() {
                "register" => actor.register(who),
                "login" => {
                    let shown = actor.log_in(who).1;
                    replay.begin_list_again();
                    assert_eq!(shown, parse(&replay.list(side)), "{name}: {who} logs in");
                }
                "list" => {
                    let shown = actor.list();
                    replay.begin_list_again();
                    assert_eq!(shown, parse(&replay.list(side)), "{name}: {who} lists");
                }
                "pay" => {
                    let bob = bob.as_ref().expect("bob is started");
                    let before = alice.list().balance;
                    replay.begin_list_again();
                    alice
                        .ask("pay bob 100", &format!("paid 100 to bob; balance: {}", before - 100));
                    bob.expect(&format!("received 100 from alice; balance: {}", before + 100));
                }
                other => panic!("nobody knows how to {other}"),
            }
        }
        replay.finish_step();
    }
}

/// What a client must show of a recorded list.
fn parse(list: &str) -> Shown {
    let mut lines = list.lines();
    let balance = lines.next().and_then(|line| line.parse().ok()).expect("a balance");
    let online = lines.filter_map(|line| {
        let (name, address) = line.split_once('#')?;
        Some(format!("{name} {}", address.replace('#', ":")))
    });
    Shown { balance, online: online.collect() }
}

/// Logs a client in to a server that the test plays, which answers with this list. Returns where the
/// client takes payments.
fn log_in(client: &mut Client, server: &mut Connection, name: &str, list: &str) -> SocketAddr {
    client.type_line(&format!("login {name} 0"));
    assert!(server.message().starts_with(&format!("{name}#")));
    server.send(list);
    client.logged_in(name).0
}
