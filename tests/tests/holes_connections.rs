//! Holes of the family that cost the server, each closed: connections that come all at once, die
//! without a word, stay and say nothing, or never listen.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::process::{PATIENCE, Program, Server};
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");

fn start(args: &[&str]) -> (TempDir, Server) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), args);
    (data, server)
}

/// Who is online.
fn online(watcher: &mut Connection) -> Vec<String> {
    watcher.send("List\n");
    watcher.list().1
}

/// Asks for the list until it is this one.
#[track_caller]
fn wait_for_list(watcher: &mut Connection, expected: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while online(watcher) != expected {
        assert!(Instant::now() < deadline, "still {:?}", online(watcher));
    }
}

/// Resident memory of a process, in KiB.
fn memory_kib(server: &Server) -> u64 {
    let status = format!("/proc/{}/status", server.program.id());
    let status = std::fs::read_to_string(status).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Protects everybody who connects in the same instant: nobody is turned away or mixed up.
#[test]
fn a_hundred_connections_in_one_instant_are_all_served() {
    const CONNECTIONS: u16 = 100;
    let (_data, server) = start(&[]);
    let together = Barrier::new(CONNECTIONS.into());
    let visit = |number: u16| {
        together.wait();
        let name = format!("user{number}");
        let mut connection = Connection::open(server.address);
        connection.ask(&format!("REGISTER#{name}\n"), "100 OK\n");
        connection.send(format!("{name}#{}\n", 5000 + number));
        let (balance, online) = connection.list();
        assert_eq!(balance, 1000);
        assert!(online.contains(&format!("{name}#127.0.0.1#{}", 5000 + number)));
        connection
    };
    let mut connections: Vec<Connection> = thread::scope(|scope| {
        let visit = &visit;
        let visitors: Vec<_> =
            (0..CONNECTIONS).map(|number| scope.spawn(move || visit(number))).collect();
        visitors.into_iter().map(|visitor| visitor.join().expect("it is served")).collect()
    });
    assert_eq!(online(&mut connections[0]).len(), usize::from(CONNECTIONS));
}

/// Protects the list from ghosts and the server from a signal: connections that die in the middle
/// of what they do, with answers under way, leave nothing behind.
#[test]
fn connections_that_die_leave_no_ghost_and_the_server_lives() {
    let (_data, server) = start(&[]);
    let mut watcher = Connection::log_in(server.address, "watcher", 5001);
    for round in 0..3 {
        for number in 0..40 {
            let name = format!("ghost{number}");
            let mut ghost = Connection::open(server.address);
            if round == 0 {
                ghost.ask(&format!("REGISTER#{name}\n"), "100 OK\n");
            }
            match number % 5 {
                // Logged in, at rest.
                0 => {
                    ghost.send(format!("{name}#5002\n"));
                    ghost.list();
                }
                // In the middle of the log-in.
                1 => ghost.send(format!("{name}#5002\n")),
                // With answers under way that it will never read.
                2 => ghost.send(format!("{name}#5002\n{}", "List\n".repeat(2000))),
                // With payments under way.
                3 => {
                    let payment = format!("watcher#1#{name}\n");
                    ghost.send(format!("{name}#5002\n{payment}{payment}"));
                }
                // With half a request, in neither mode.
                _ => ghost.send(format!("{name}#50")),
            }
            if number % 2 == 0 {
                ghost.reset();
            } else {
                drop(ghost);
            }
        }
        wait_for_list(&mut watcher, &["watcher#127.0.0.1#5001"]);
    }
    // No log-in that was under way comes on the list late, and nobody has lost anything.
    wait_for_list(&mut watcher, &["watcher#127.0.0.1#5001"]);
    let mut sum = watcher.balance();
    for number in 0..40 {
        let mut ghost = Connection::open(server.address);
        ghost.send(format!("ghost{number}#5002\n"));
        sum += ghost.list().0;
    }
    assert_eq!(sum, 41 * 1000);
    server.stop();
}

/// Protects the owner of a name: two connections of one name are one account on the list, and
/// whoever came last is it, also when the first one's end comes later.
#[test]
fn two_log_ins_of_one_name_are_one_account() {
    let (_data, server) = start(&[]);
    let mut watcher = Connection::log_in(server.address, "watcher", 5009);
    let mut last = Connection::log_in(server.address, "alice", 6000);
    for port in 6001..6050 {
        let mut next = Connection::open(server.address);
        next.send(format!("alice#{port}\n"));
        next.list();
        assert_eq!(online(&mut watcher)[0], format!("alice#127.0.0.1#{port}"));
        last.ask("List\n", "220 AUTH_FAIL\n");
        if port % 2 == 0 {
            last.reset();
        }
        assert_eq!(online(&mut watcher).len(), 2);
        last = next;
    }
    assert_eq!(online(&mut watcher), ["alice#127.0.0.1#6049", "watcher#127.0.0.1#5009"]);
}

/// Protects honest clients from idle ones: up to the limit everybody is served, beyond it a
/// connection is told so and closed, and a place that is left can be taken.
#[test]
fn idle_connections_use_up_places_and_nothing_else() {
    const PLACES: usize = 200;
    let (_data, server) = start(&["--max-connections", &PLACES.to_string()]);
    let connect = || Connection::open(server.address);
    let mut honest = Connection::log_in(server.address, "honest", 5001);
    let mut idle: Vec<Connection> = (1..PLACES).map(|_| connect()).collect();
    for _ in 0..20 {
        let refusal = connect().rest();
        assert!(refusal.starts_with("220 ERROR") && refusal.ends_with('\n'), "{refusal:?}");
        assert_eq!(refusal.lines().count(), 1, "{refusal:?}");
        assert_eq!(honest.balance(), 1000);
    }
    // All who are in are served, not only who came first.
    for connection in &mut idle {
        connection.ask("hello\n", "200 BAD_REQUEST\n");
    }
    // Who leaves, by whatever way, makes room.
    for how in ["drop", "reset", "Exit"] {
        let mut leaver = idle.pop().expect("many are left");
        match how {
            "drop" => drop(leaver),
            "reset" => leaver.reset(),
            _ => {
                leaver.ask("Exit\n", "Bye\n");
                leaver.expect_close();
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let newcomer = loop {
            let mut newcomer = connect();
            newcomer.send("hello\n");
            match newcomer.line().as_str() {
                "200 BAD_REQUEST" => break newcomer,
                line => assert!(line.starts_with("220 ERROR"), "{line}"),
            }
            assert!(Instant::now() < deadline, "no place is free after {how}");
        };
        idle.push(newcomer);
    }
}

/// Protects the server's limits from the shell it was started in: with few open files allowed it
/// allows itself more, and a thousand idle connections keep nobody out.
#[test]
fn a_thousand_idle_connections_are_held_also_where_few_files_were_allowed() {
    const IDLE: usize = 1000;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|files| files > 1200);
    assert!(enough(files.maximum), "this test needs 1,200 files: raise it with ulimit -Hn");
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: files.maximum, maximum: files.maximum },
    )
    .expect("the soft limit may be raised");
    let data = tempfile::tempdir().expect("a temporary directory");
    let shell = "ulimit -S -n 100 && exec \"$0\" --role server --listen 127.0.0.1:0 --data \"$1\"";
    let path = data.path().to_str().expect("temporary paths are text");
    let program = Program::start("/bin/sh", ["-c", shell, MITE, path]);
    let first = program.line();
    let address = first.strip_prefix("listening on ").expect("the address in its first line");
    let address = address.parse().expect("an address");

    let mut idle: Vec<Connection> = (0..IDLE).map(|_| Connection::open(address)).collect();
    let mut honest = Connection::log_in(address, "honest", 5001);
    assert_eq!(honest.balance(), 1000);
    // The last one that came in is served as well, and so are all the others.
    for connection in idle.iter_mut().rev() {
        connection.ask("List\n", "220 AUTH_FAIL\n");
    }
}

/// Protects other clients from binary rubbish and endless lines: whoever sends them is thrown out,
/// nobody else notices.
#[test]
fn rubbish_disturbs_nobody() {
    let (_data, server) = start(&[]);
    let mut honest = Connection::log_in(server.address, "honest", 5001);
    // Without a NUL, behind which everything would be passed over.
    let binary: Vec<u8> = (1..=255).cycle().take(100_000).collect();
    let endless = vec![b'A'; 1 << 20];
    for rubbish in [&binary[..], &endless, b"\xf0\x28\x8c\x28\n", &[0xff; 4096]] {
        let mut connections: Vec<_> = (0..10).map(|_| Connection::open(server.address)).collect();
        for connection in &mut connections {
            connection.send_until_stalled(rubbish, PATIENCE);
        }
        assert_eq!(honest.balance(), 1000);
        for connection in &mut connections {
            let reply = connection.rest();
            assert!(reply.ends_with("200 BAD_REQUEST\n"), "{reply:?}");
        }
        assert_eq!(online(&mut honest).len(), 1);
    }
}

/// How long nothing must be taken from a client that sends for it to be stalled: much longer than
/// the server needs to answer what it reads at once.
const STALL: Duration = Duration::from_secs(1);

/// Protects the server's memory and other clients from a client that asks and never reads: it is
/// not read from any more, and nobody else notices.
#[test]
fn a_client_that_never_reads_is_not_read_from() {
    const CLIENTS: usize = 4;
    const MEMORY_KIB_MAX: u64 = 32 << 10;
    let (_data, server) = start(&[]);
    let address = server.address;
    let mut honest = Connection::log_in(address, "honest", 5001);
    let before = memory_kib(&server);
    let flood = "List\n".repeat(8 << 20);
    let flood_unread = |number: usize| {
        let mut deaf = Connection::open_with_small_window(address);
        deaf.register_and_log_in(&format!("deaf{number}"), 5002);
        let taken = deaf.send_until_stalled(flood.as_bytes(), STALL);
        assert!(taken < flood.len(), "the server has read all of it");
        deaf
    };
    let deaf: Vec<Connection> = thread::scope(|scope| {
        let flood_unread = &flood_unread;
        let flooders: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || flood_unread(number))).collect();
        // While they flood.
        for _ in 0..200 {
            assert_eq!(honest.balance(), 1000);
        }
        flooders.into_iter().map(|flooder| flooder.join().expect("it is stalled")).collect()
    });
    // And when they are stalled.
    let start = Instant::now();
    for _ in 0..200 {
        assert_eq!(honest.balance(), 1000);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "the server has grown by {grown} KiB");
    drop(deaf);
    wait_for_list(&mut honest, &["honest#127.0.0.1#5001"]);
}

/// Protects the same where answers go to a client that did not ask, the payer: what it never reads is
/// left out when too much waits for it, so that others can neither fill the server's memory by it nor end
/// its session, and its money is safe.
#[test]
fn a_payer_that_never_reads_takes_no_memory() {
    const MEMORY_KIB_MAX: u64 = 32 << 10;
    const ROUNDS: usize = 50;
    const REQUESTS: usize = 20_000;
    let (_data, server) = start(&["--text-dialect", "ta2021"]);
    let mut honest = Connection::log_in(server.address, "honest", 5001);
    // What is not read fills the server's own buffers soon.
    let mut deaf = Connection::open_with_small_window(server.address);
    deaf.register_and_log_in("deaf", 5002);
    let before = memory_kib(&server);
    // Some 40 MB of answers that nobody takes.
    for _ in 0..ROUNDS {
        honest.send("deaf#1000000#honest\n".repeat(REQUESTS));
        assert_eq!(online(&mut honest).len(), 2, "nobody is ended by others");
    }
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "the server has grown by {grown} KiB");
    drop(deaf);
    let mut again = Connection::open(server.address);
    again.send("deaf#5003\n");
    assert_eq!(again.list().0, 10_000);
}
