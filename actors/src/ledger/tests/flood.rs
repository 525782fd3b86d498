//! More than the ledger takes at once, and neighbours that do not listen.

use futures_util::future::join_all;

use super::*;
use crate::ledger::waiting::{PLAIN_COMMAND_BYTES, WAITING_BYTES_MAX};
use crate::probe::gone;

/// The capacity of a mailbox holds up nobody who awaits an answer: messages go past it, and move at once to
/// where what they hold is counted. What is too much is answered as that, and whatever was taken is answered.
#[actix::test]
async fn a_flood_of_messages_is_answered_and_no_more_waits_than_may() {
    const MESSAGES: usize = 2 * MAILBOX_MESSAGES;
    // Half as much again as may wait.
    const COMMANDS: usize = WAITING_BYTES_MAX / PLAIN_COMMAND_BYTES * 3 / 2 / MESSAGES;
    let (storage, disk) = gated();
    let ledger = start(Arc::new(storage));
    let alice = ledger.send(Submit(vec![opening("alice")]));
    settle().await;
    disk.wait_for_sync();
    let recipient = ledger.clone().recipient();
    let flood = (0..MESSAGES).map(|_| recipient.send(Submit(vec![balance(0); COMMANDS])));
    let mut flood = Box::pin(join_all(flood));
    assert!(flood.as_mut().now_or_never().is_none(), "nothing is durable yet");
    settle().await;
    disk.let_sync();
    assert_eq!(alice.await.expect("answers"), Ok(vec![opened(0)]));
    let (mut taken, mut busy) = (0, 0);
    for answer in flood.await {
        match answer.expect("answers") {
            Ok(outcomes) => {
                assert_eq!(outcomes, vec![Outcome::Balance(Amount::new(1000)); COMMANDS]);
                taken += 1;
            }
            Err(unavailable) => {
                assert_eq!(unavailable, LedgerUnavailable::Busy);
                busy += 1;
            }
        }
    }
    assert_eq!(taken + busy, MESSAGES);
    // Alice's own opening waited, too.
    assert_eq!(taken, (WAITING_BYTES_MAX / PLAIN_COMMAND_BYTES - 1) / COMMANDS);
}

/// Whoever reads the journal may be gone: payments do not need it.
#[actix::test]
async fn without_an_archive_payments_go_on() {
    let (journal, state) = Journal::open(
        Arc::new(MemoryStorage::new()),
        server_key(),
        JournalOptions::default(),
        &no_log(),
    )
    .expect("an empty one");
    let settings = LedgerSettings {
        clock: || Timestamp::new(1),
        snapshot_entries: SNAPSHOT_ENTRIES,
        grew: Some(gone().await),
        fail_stop: Arc::new(|failure| panic!("nothing fails: {failure}")),
    };
    let ledger = Ledger::new(journal, state, settings, &no_log()).start();
    for (number, who) in (0..).zip(["alice", "bob"]) {
        assert_eq!(submit(&ledger, vec![opening(who)]).await, Ok(vec![opened(number)]));
    }
}
