//! Two hundred clients at once.

use std::sync::Barrier;
use std::thread;

use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

const CLIENTS: usize = 200;
/// In each, every client is paid once and pays once.
const ROUNDS: usize = 60;
/// So many requests of a client are under way at once in the second half of the rounds.
const PIPELINED: usize = 6;
/// The most that anybody pays; nobody runs out of money: `ROUNDS * AMOUNT_MAX` is below 1,000.
const AMOUNT_MAX: u64 = 16;

/// In round `round` the client `payee` is paid by a client, this much. Each client pays once a round.
fn payment(payee: usize, round: usize) -> (usize, u64) {
    let payer = (payee + 1 + round) % CLIENTS;
    let number = u64::try_from(payee * 31 + round * 7).expect("small");
    (payer, 1 + number % AMOUNT_MAX)
}

fn request(payee: usize, round: usize) -> String {
    let (payer, amount) = payment(payee, round);
    format!("user{payer}#{amount}#user{payee}\n")
}

/// What everybody has when all is paid.
fn balances() -> Vec<u64> {
    let mut balances = vec![1000; CLIENTS];
    for round in 0..ROUNDS {
        for payee in 0..CLIENTS {
            let (payer, amount) = payment(payee, round);
            balances[payer] -= amount;
            balances[payee] += amount;
        }
    }
    balances
}

/// Protects all payments of many at once: each is answered once, and in the end everybody has what
/// a single bookkeeper would have written down; also after a restart.
#[test]
fn two_hundred_clients_pay_each_other_round_robin() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let address = server.address;
    let together = Barrier::new(CLIENTS);
    let work = |client: usize| {
        let mut connection = Connection::log_in(address, &format!("user{client}"), 5001);
        // Nobody is asked for money before it is there.
        together.wait();
        let mut settled = 0;
        for round in 0..ROUNDS / 2 {
            connection.ask(&request(client, round), "100 OK\n");
            settled += 1;
        }
        for first in (ROUNDS / 2..ROUNDS).step_by(PIPELINED) {
            let rounds = first..first + PIPELINED;
            connection.send(rounds.clone().map(|round| request(client, round)).collect::<String>());
            for _ in rounds {
                connection.expect("100 OK\n");
                settled += 1;
            }
        }
        together.wait();
        let balance = connection.balance();
        connection.ask("Exit\n", "Bye\n");
        connection.expect_close();
        (settled, balance)
    };
    let results: Vec<(usize, u64)> = thread::scope(|scope| {
        let work = &work;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
        clients.into_iter().map(|client| client.join().expect("its answers are right")).collect()
    });
    let (settled, found): (Vec<usize>, Vec<u64>) = results.into_iter().unzip();
    assert_eq!(settled.iter().sum::<usize>(), CLIENTS * ROUNDS);
    assert_eq!(found, balances());
    assert_eq!(found.iter().sum::<u64>(), 200 * 1000);
    server.stop();

    let server = Server::start(MITE, data.path(), &[]);
    let mut connection = Connection::open(server.address);
    let after: Vec<u64> = (0..CLIENTS)
        .map(|client| {
            connection.send(format!("user{client}#5001\n"));
            connection.list().0
        })
        .collect();
    assert_eq!(after, found);
}
