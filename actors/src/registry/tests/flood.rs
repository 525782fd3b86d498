//! More messages than the mailbox is told to hold.

use futures_util::future::join_all;
use wire::secure::call::WATCHED_NAMES_MAX;

use super::*;
use crate::messages::ReadPresent;

/// The capacity of a mailbox holds up nobody who awaits an answer. Each of a thousand sessions does as
/// much at once as it may; all are answered, what they watch is bounded, and when they have left nothing
/// of them is left.
#[actix::test]
async fn a_flood_of_messages_is_answered_and_what_is_kept_is_bounded() {
    const SESSIONS: u64 = 1100;
    let (ledger, _asked) = ledger();
    let registry = Registry::new(ledger, &no_log()).start();
    let (one, _notices) = session();
    let (log_ins, watching): (Vec<_>, Vec<_>) = (0..SESSIONS)
        .map(|id| {
            let log_in = LogInKeyed {
                session: SessionId(id),
                attempt: 1,
                name: name(&format!("session-{id}")),
                key: PublicKey::new([1; 32]),
                address: Some(SocketAddr::from(([127, 0, 0, 1], 7001))),
                notices: one.downgrade(),
            };
            let log_in = registry.clone().recipient().send(log_in);
            let watched = |number| name(&format!("watched-{id}-{number}"));
            let names = (0..WATCHED_NAMES_MAX).map(watched).collect();
            let watch = WatchNames { session: SessionId(id), names };
            (log_in, registry.clone().recipient().send(watch))
        })
        .unzip();
    assert!(join_all(log_ins).await.iter().all(Result::is_ok));
    let answers = join_all(watching).await;
    let watching = answers.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
    let full = answers.iter().filter(|answer| **answer == Ok(Err(WatchRefusal::Full))).count();
    assert_eq!((watching + full) as u64, SESSIONS);
    assert!(full > 0, "{watching} watch");
    for id in 0..SESSIONS {
        registry.do_send(LogOut(SessionId(id)));
    }
    let nobody = ReadPresent { after: None, limit: 0 };
    assert_eq!(registry.send(nobody).await.expect("answers").online, 0);
    assert_eq!(lines(&registry).await, "");
}
