//! x
use tests::process::Server;
use tests::text::Connection;
#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let s = Server::start(env!("CARGO_BIN_EXE_mite-under-test"), dir.path(), &[]);
    let _alice = Connection::log_in(s.address, "alice", 7001);
    let mut bob = Connection::log_in(s.address, "bob", 7002);
    bob.ask("alice#10#bob\n", "100 OK\n");
    assert_eq!(bob.balance(), 1010);
    drop(bob);
    s.stop();
}
