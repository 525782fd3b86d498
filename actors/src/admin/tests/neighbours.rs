//! Neighbours that are gone, that forget what they were asked, that are full, or that are late: every
//! call has an answer, and the connection goes on.

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::frames::peer::framed;
use crate::probe::{PanickingStream, Trouble, slow, troubled};

/// Neighbours that all have this trouble. Who cannot be full is gone instead.
async fn all_troubled(trouble: Trouble) -> AdminPeers {
    AdminPeers {
        submit: troubled(trouble, Some(Err(LedgerUnavailable::Busy))).await,
        read_ledger: troubled(trouble, Some(Err(LedgerUnavailable::Busy))).await,
        keep_snapshot: troubled(trouble, Some(Err(LedgerUnavailable::Busy.into()))).await,
        read_present: troubled(trouble, None).await,
        read_server: troubled(trouble, None).await,
        audit: troubled(trouble, Some(Err(AuditFailure::Busy))).await,
        back_up: troubled(trouble, Some(Err(BackupFailure::Busy))).await,
        drain: troubled(trouble, None).await,
    }
}

/// A session in which two entries are durable, among these neighbours, after both sides' hello.
async fn among(adjust: impl FnOnce(&mut AdminPeers)) -> Stage {
    let operated = Operated { entry: EntryNumber::new(4), repeated: false, balance: Amount::ZERO };
    let submitted = Ok(vec![Outcome::Operated(Ok(operated))]);
    let (kept, verified) = (Ok(BatchNumber::new(2)), Err(AuditFailure::Fault("a fault".into())));
    Stage::start_among(Ok(status()), facts(), submitted, kept, verified, adjust).greeted().await
}

/// Puts a neighbour in the place of a good one.
type Replace = fn(&mut AdminPeers, AdminPeers);

const fn online() -> AdminCall {
    AdminCall::Online { after: None, limit: 1 }
}

fn backup() -> AdminCall {
    AdminCall::Backup { to: "/backups/mite".to_owned() }
}

/// Who is asked, by which call, and whether it can be full. All but the first two live as long as the
/// process: that they are gone is said as what it is.
fn asked() -> [(&'static str, AdminCall, bool, Replace); 8] {
    [
        ("ledger", unfreeze(), true, |peers, with| peers.submit = with.submit),
        ("ledger", AdminCall::Snapshot, true, |peers, with| {
            peers.keep_snapshot = with.keep_snapshot;
        }),
        ("registry", online(), false, |peers, with| peers.read_present = with.read_present),
        ("registry", AdminCall::Status, false, |peers, with| {
            peers.read_present = with.read_present;
        }),
        ("host", AdminCall::Status, false, |peers, with| peers.read_server = with.read_server),
        ("host", AdminCall::Verify, true, |peers, with| peers.audit = with.audit),
        ("host", backup(), true, |peers, with| peers.back_up = with.back_up),
        ("host", AdminCall::Drain, false, |peers, with| peers.drain = with.drain),
    ]
}

/// The story: a part of the server had panicked. An operator who drained the server was told that it
/// would end, and it did not; one who asked for its status was told that it would, and it did not.
#[actix::test]
async fn who_is_not_answered_hears_so_and_the_connection_goes_on() {
    for trouble in Trouble::ALL {
        for (who, call, can_be_full, replace) in asked() {
            let with = all_troubled(trouble).await;
            let mut stage = among(|peers| replace(peers, with)).await;
            let expected = match trouble {
                Trouble::Full if can_be_full => AdminProblem::Busy,
                _ if who == "host" => host_gone(MailboxError::Closed),
                _ => AdminProblem::Stopping,
            };
            let story = format!("{who}, {trouble:?}: {call:?}");
            for _ in 0..2 {
                assert_eq!(stage.call(&call).await, Err(expected.clone()), "{story}");
            }
            assert!(!stage.drained.is_cancelled(), "{story}");
            let other = if call == unfreeze() { AdminCall::Snapshot } else { unfreeze() };
            assert!(stage.call(&other).await.is_ok(), "{story}");
        }
    }
}

/// The status says of a ledger that is full what is known without it.
#[actix::test]
async fn without_a_ledger_there_is_no_status_and_with_a_full_one_there_is() {
    for trouble in Trouble::ALL {
        let with = all_troubled(trouble).await;
        let mut stage = among(|peers| peers.read_ledger = with.read_ledger).await;
        let reply = stage.call(&AdminCall::Status).await;
        match trouble {
            Trouble::Full => {
                let Ok(AdminAnswer::Status(told)) = reply else { panic!("{reply:?}") };
                assert_eq!((told.ledger, told.connections), (None, 4));
            }
            _ => assert_eq!(reply, Err(AdminProblem::Stopping), "{trouble:?}"),
        }
    }
}

/// An audit takes hours. Other operators go on, and what it says is told; of one who has left meanwhile,
/// the place is free when it is done.
#[actix::test]
async fn a_late_neighbour_is_waited_for_by_its_connection_alone() {
    for leaves in [false, true] {
        let (audit, mut questions) = slow();
        let mut stage = among(|peers| peers.audit = audit).await;
        stage.peer.says(&AdminCall::Verify).await;
        let (AuditJournal, late) = questions.next().await;
        let mut other = among(|_| ()).await;
        assert!(other.call(&unfreeze()).await.is_ok());
        let Stage { mut peer, places, .. } = stage;
        assert_eq!(places.available_permits(), 0);
        let peer = if leaves {
            drop(peer);
            None
        } else {
            peer.says(&unfreeze()).await;
            Some(peer)
        };
        settle().await;
        assert_eq!(places.available_permits(), 0);
        late.send(Err(AuditFailure::Busy));
        match peer {
            Some(mut peer) => {
                assert_eq!(peer.hears::<AdminReply>().await, Err(AdminProblem::Busy));
                assert!(peer.hears::<AdminReply>().await.is_ok());
            }
            None => is_free(&places).await,
        }
    }
}

/// However much an operator's program sends, it has one call under way.
#[actix::test]
async fn a_program_that_floods_has_one_call_under_way() {
    let (submit, mut questions) = slow();
    let mut stage = among(|peers| peers.submit = submit).await;
    let call = framed(&unfreeze());
    // What a stream takes and the session reads at once.
    stage.peer.stream.write_all(&call.repeat(1000)).await.expect("the session is there");
    for answered in 0..1000 {
        let (_, late) = questions.next().await;
        settle().await;
        assert!(questions.there().is_empty(), "two calls under way after {answered}");
        late.send(Err(LedgerUnavailable::Busy));
        assert_eq!(stage.peer.hears::<AdminReply>().await, Err(AdminProblem::Busy));
    }
}

async fn is_free(places: &Semaphore) {
    let place = tokio::time::timeout(PATIENCE, places.acquire()).await;
    drop(place.expect("it is free again").expect("nobody closes it"));
}

/// Its place is free again, and nobody else notices.
#[actix::test]
async fn a_panic_ends_its_session_alone() {
    let mut other = among(|_| ()).await;
    let places = Arc::new(Semaphore::new(1));
    let place = Arc::clone(&places).try_acquire_owned().expect("it is free");
    let peers = all_troubled(Trouble::Forgetful).await;
    AdminSession::new(PanickingStream::default(), peers, place, &no_log()).start();
    is_free(&places).await;
    assert!(other.call(&unfreeze()).await.is_ok());
    assert!(among(|_| ()).await.call(&unfreeze()).await.is_ok());
}
