mod neighbours;

use std::sync::Arc;

use tokio::io::duplex;
use tokio::sync::Semaphore;
use wire::admin::{Condition, FilesStatus, LedgerStatus, OnlineAccount, Verified};
use wire::{Amount, BatchNumber, EntryNumber, OperatorRefusal, PublicKey, Timestamp};

use super::*;
use crate::frames::peer::Peer;
use crate::messages::{FilesUnreadable, PresentPage};
use crate::probe::{Received, no_log, probe, settle};

/// A session whose neighbours answer what the test says, and the test's end of its connection.
struct Stage {
    peer: Peer,
    submitted: Received<Submit>,
    asked: Received<ReadPresent>,
    /// Cancelled when the server is to stop.
    drained: CancellationToken,
    places: Arc<Semaphore>,
}

type Submitted = <Submit as Message>::Result;

fn status() -> LedgerStatus {
    LedgerStatus {
        entries: 3,
        batch: BatchNumber::new(2),
        head: [7; 32],
        written: Timestamp::new(5),
        accounts: 2,
        frozen: 1,
        supply: Amount::new(2000),
    }
}

fn files() -> FilesStatus {
    FilesStatus { journal_bytes: 512, free_bytes: None, snapshot: None }
}

fn facts() -> ServerFacts {
    ServerFacts {
        version: "9.9".into(),
        server: PublicKey::new([1; 32]),
        started: Timestamp::new(1),
        now: Timestamp::new(2),
        condition: Condition::Draining,
        connections: 4,
        files: Ok(files()),
    }
}

impl Stage {
    async fn open(submitted: Submitted) -> Self {
        Self::start(submitted, Ok(BatchNumber::new(2)), Err(AuditFailure::Busy)).greeted().await
    }

    async fn greeted(mut self) -> Self {
        self.peer.says(&AdminHello::new(magic::OPERATOR)).await;
        assert_eq!(self.peer.hears::<AdminHello>().await, AdminHello::new(magic::SERVER));
        self
    }

    fn start(
        answer: Submitted,
        kept: Result<BatchNumber, SnapshotFailure>,
        verified: Result<Verified, AuditFailure>,
    ) -> Self {
        Self::start_beside(Ok(status()), facts(), answer, kept, verified)
    }

    fn start_beside(
        ledger: Result<LedgerStatus, LedgerUnavailable>,
        server: ServerFacts,
        answer: Submitted,
        kept: Result<BatchNumber, SnapshotFailure>,
        verified: Result<Verified, AuditFailure>,
    ) -> Self {
        Self::start_among(ledger, server, answer, kept, verified, |_| ())
    }

    /// The same with other neighbours.
    fn start_among(
        ledger: Result<LedgerStatus, LedgerUnavailable>,
        server: ServerFacts,
        answer: Submitted,
        kept: Result<BatchNumber, SnapshotFailure>,
        verified: Result<Verified, AuditFailure>,
        adjust: impl FnOnce(&mut AdminPeers),
    ) -> Self {
        let (submit, submitted) = probe(move |_: &Submit| answer.clone());
        let (read_present, asked) = probe(|_: &ReadPresent| {
            let name = "alice".parse().expect("a name");
            let people = vec![OnlineAccount { name, key: None, address: None }];
            PresentPage { people, more: true, online: 7 }
        });
        let token = CancellationToken::new();
        let drained = token.clone();
        let (drain, _) = probe(move |_: &DrainServer| token.clone());
        let mut peers = AdminPeers {
            submit,
            read_ledger: probe(move |_: &ReadLedger| ledger).0,
            keep_snapshot: probe(move |_: &KeepSnapshot| kept.clone()).0,
            read_present,
            read_server: probe(move |_: &ReadServer| server.clone()).0,
            audit: probe(move |_: &AuditJournal| verified.clone()).0,
            back_up: probe(|BackUpLedger(to): &BackUpLedger| {
                Err(BackupFailure::Failed(to.display().to_string()))
            })
            .0,
            drain,
        };
        adjust(&mut peers);
        let (stream, other) = duplex(1 << 16);
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("it is free");
        AdminSession::new(stream, peers, place, &no_log()).start();
        Self { peer: Peer::new(other), submitted, asked, drained, places }
    }

    async fn call(&mut self, call: &AdminCall) -> AdminReply {
        self.peer.says(call).await;
        self.peer.hears().await
    }
}

fn unfreeze() -> AdminCall {
    AdminCall::Unfreeze { account: "alice".parse().expect("a name") }
}

#[actix::test]
async fn what_the_ledger_says_is_told() {
    let entry = EntryNumber::new(4);
    let operated = Operated { entry, repeated: true, balance: Amount::new(5) };
    let done = AdminAnswer::Operated { entry, repeated: true, balance: Amount::new(5) };
    let refused = OperatorRefusal::NotFrozen;
    for (said, expected) in [
        (Ok(vec![Outcome::Operated(Ok(operated))]), Ok(done)),
        (Ok(vec![Outcome::Operated(Err(refused))]), Err(AdminProblem::Refused(refused))),
        (Err(LedgerUnavailable::Busy), Err(AdminProblem::Busy)),
        (Err(LedgerUnavailable::Stopping), Err(AdminProblem::Stopping)),
        (Err(LedgerUnavailable::ReadOnly), Err(AdminProblem::ReadOnly)),
        (Ok(vec![Outcome::ReadOnly]), Err(AdminProblem::ReadOnly)),
        (Err(LedgerUnavailable::OutcomeUnknown), Err(AdminProblem::OutcomeUnknown)),
    ] {
        let mut stage = Stage::open(said).await;
        assert_eq!(stage.call(&unfreeze()).await, expected);
        let Submit(commands) = stage.submitted.next().await;
        let account = "alice".parse().expect("a name");
        let expected = Command::Operate(Box::new(OperatorCommand::Unfreeze { account }));
        assert_eq!(commands, [expected]);
    }
}

#[actix::test]
async fn the_status_is_put_together_from_all_neighbours() {
    let mut stage = Stage::open(Ok(Vec::new())).await;
    let reply = stage.call(&AdminCall::Status).await;
    let Ok(AdminAnswer::Status(told)) = reply else { panic!("{reply:?}") };
    assert_eq!((told.ledger, told.online, told.connections), (Some(status()), 7, 4));
    assert_eq!((told.condition, told.files), (Condition::Draining, Ok(files())));
    let asked = stage.asked.next().await;
    assert_eq!(asked, ReadPresent { after: None, limit: 0 });
    // A page is as long as is asked for, within what there is.
    for (limit, expected) in [(0, 1), (5, 5), (u32::MAX, ADMIN_PAGE_MAX)] {
        let reply = stage.call(&AdminCall::Online { after: None, limit }).await;
        assert!(matches!(reply, Ok(AdminAnswer::Online { more: true, .. })));
        assert_eq!(stage.asked.next().await.limit, expected);
    }
}

/// The story: the disk fails. The operator asks how the server is, and hears that it is busy, or that its
/// directory cannot be listed; why nothing can be written stays hidden.
#[actix::test]
async fn a_status_is_told_while_the_ledger_reads_its_journal_again_and_the_disk_fails() {
    let condition = Condition::ReadOnly("the disk fails".into());
    let files = Err(FilesUnreadable("no such device".into()));
    let server = ServerFacts { condition: condition.clone(), files, ..facts() };
    let (kept, verified) = (Ok(BatchNumber::new(0)), Err(AuditFailure::Busy));
    let busy = Err(LedgerUnavailable::Busy);
    let stage = Stage::start_beside(busy, server, Ok(Vec::new()), kept, verified);
    let reply = stage.greeted().await.call(&AdminCall::Status).await;
    let Ok(AdminAnswer::Status(told)) = reply else { panic!("{reply:?}") };
    assert_eq!((told.condition, told.connections, told.online), (condition, 4, 7));
    assert_eq!((told.ledger, told.files), (None, Err("no such device".into())));
}

#[actix::test]
async fn snapshots_and_audits_that_fail_are_told() {
    let failed = |why: &str| AdminProblem::Failed(why.into());
    for (kept, expected) in [
        (Ok(BatchNumber::new(2)), Ok(AdminAnswer::SnapshotKept(BatchNumber::new(2)))),
        (Err(LedgerUnavailable::Stopping.into()), Err(AdminProblem::Stopping)),
        (Err(SnapshotFailure::Failed("full".into())), Err(failed("full"))),
    ] {
        let mut stage = Stage::start(Ok(Vec::new()), kept, Err(AuditFailure::Busy));
        stage.peer.says(&AdminHello::new(magic::OPERATOR)).await;
        stage.peer.hears::<AdminHello>().await;
        assert_eq!(stage.call(&AdminCall::Snapshot).await, expected);
    }
    for (failure, expected) in [
        (AuditFailure::Busy, AdminProblem::Busy),
        (AuditFailure::Unreadable("gone".into()), failed("gone")),
        (AuditFailure::Fault("a fault".into()), AdminProblem::Fault("a fault".into())),
    ] {
        let mut stage = Stage::start(Ok(Vec::new()), Ok(BatchNumber::new(0)), Err(failure));
        stage.peer.says(&AdminHello::new(magic::OPERATOR)).await;
        stage.peer.hears::<AdminHello>().await;
        assert_eq!(stage.call(&AdminCall::Verify).await, Err(expected));
    }
}

#[actix::test]
async fn a_backup_goes_where_the_operator_says_and_nowhere_else() {
    let mut stage = Stage::open(Ok(Vec::new())).await;
    for (to, expected) in [
        ("/backups/mite".to_owned(), "/backups/mite"),
        ("backups".to_owned(), "a backup needs a path from the root"),
        (String::new(), "a backup needs a path from the root"),
        (format!("/{}", "x".repeat(ADMIN_PATH_BYTES_MAX)), "a backup needs a path from the root"),
    ] {
        let reply = stage.call(&AdminCall::Backup { to }).await;
        assert_eq!(reply, Err(AdminProblem::Failed(expected.into())));
    }
}

/// The story: the server ends before the operator has heard that it will; or it is told to end, and the
/// connection with it, by which the operator knows when.
#[actix::test]
async fn a_drain_is_answered_and_the_connection_stays_until_the_end() {
    let mut stage = Stage::open(Ok(Vec::new())).await;
    stage.peer.says(&AdminCall::Drain).await;
    settle().await;
    assert_eq!(stage.peer.hears::<AdminReply>().await, Ok(AdminAnswer::Draining));
    stage.drained.cancelled().await;
    stage.peer.says(&AdminCall::Status).await;
    tokio::time::pause();
    let more = tokio::time::timeout(10 * PATIENCE, stage.peer.may_hear::<AdminReply>()).await;
    assert!(more.is_err(), "{more:?}");
}

/// Protects the places of other operators.
#[actix::test]
async fn whoever_is_silent_is_let_go() {
    tokio::time::pause();
    let stage = Stage::open(Ok(Vec::new())).await;
    let places = Arc::clone(&stage.places);
    assert_eq!(places.available_permits(), 0);
    stage.peer.ends().await;
    let freed = tokio::time::timeout(PATIENCE, places.acquire()).await;
    drop(freed.expect("it is free again").expect("nobody closes it"));
    let stage = Stage::start(Ok(Vec::new()), Ok(BatchNumber::new(0)), Err(AuditFailure::Busy));
    stage.peer.ends().await;
}
