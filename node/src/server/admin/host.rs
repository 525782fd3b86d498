//! The Host: what an operator asks of the server as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use actix::fut::WrapFuture as _;
use actix::{
    Actor, ActorFutureExt as _, Context, Handler, MessageResult, ResponseActFuture, ResponseFuture,
};
use actors::backup::{BackupReport, Source};
use actors::ledger::audit::{AuditError, audit};
use actors::ledger::journal::{OpenError, ReadOnlyDirectory, Storage, WithArchived};
use actors::ledger::{LedgerHealth, system_clock};
use actors::messages::{
    AuditFailure, AuditJournal, BackUpLedger, BackupFailure, DrainServer, FilesUnreadable,
    ReadServer, ServerFacts,
};
use slog::{Logger, info, warn};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wire::admin::{BackedUp, Condition, Verified};
use wire::{Amount, PublicKey, Timestamp};

use super::files;
use crate::backup::back_up;
use crate::listener::Gate;

/// What the Host needs to know of its server.
pub(in crate::server) struct HostSettings {
    pub(in crate::server) data_dir: PathBuf,
    /// Where old segments are, if they are archived.
    pub(in crate::server) archived: Option<PathBuf>,
    pub(in crate::server) server: PublicKey,
    /// Whether the ledger takes changes.
    pub(in crate::server) health: watch::Receiver<LedgerHealth>,
    /// Who counts the connections.
    pub(in crate::server) gate: Arc<Gate>,
    /// Cancelled when the server stops.
    pub(in crate::server) stop: CancellationToken,
    /// Cancelled when the operator wants it to stop.
    pub(in crate::server) drain: CancellationToken,
    pub(in crate::server) log: Logger,
}

/// The actor that speaks for the server as a whole. One per server.
pub(in crate::server) struct Host {
    settings: HostSettings,
    started: Timestamp,
    auditing: bool,
    backing_up: bool,
}

impl Host {
    pub(in crate::server) fn new(settings: HostSettings) -> Self {
        Self { settings, started: system_clock(), auditing: false, backing_up: false }
    }

    fn condition(&self) -> Condition {
        let HostSettings { stop, drain, .. } = &self.settings;
        if stop.is_cancelled() || drain.is_cancelled() {
            return Condition::Draining;
        }
        match &*self.settings.health.borrow() {
            LedgerHealth::Writing => Condition::Writing,
            LedgerHealth::ReadOnly { why, resumes, .. } => {
                let end = if *resumes {
                    "until there is room on the disk"
                } else {
                    "until the server is started again"
                };
                Condition::ReadOnly(format!("{why}, {end}"))
            }
        }
    }
}

impl Actor for Host {
    type Context = Context<Self>;
}

impl Handler<ReadServer> for Host {
    type Result = ResponseFuture<ServerFacts>;

    fn handle(&mut self, ReadServer: ReadServer, _: &mut Self::Context) -> Self::Result {
        let condition = self.condition();
        let (server, started) = (self.settings.server, self.started);
        let connections = self.settings.gate.open() as u64;
        let data_dir = self.settings.data_dir.clone();
        Box::pin(async move {
            let measured = spawn_blocking(move || files::measure(&data_dir)).await;
            let files = measured.map_err(io::Error::from).flatten();
            ServerFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                server,
                started,
                now: system_clock(),
                condition,
                connections,
                files: files.map_err(|error| FilesUnreadable(error.to_string())),
            }
        })
    }
}

impl Handler<AuditJournal> for Host {
    type Result = ResponseActFuture<Self, Result<Verified, AuditFailure>>;

    fn handle(&mut self, AuditJournal: AuditJournal, _: &mut Self::Context) -> Self::Result {
        if std::mem::replace(&mut self.auditing, true) {
            return Box::pin(async { Err(AuditFailure::Busy) }.into_actor(self));
        }
        let (done, result) = oneshot::channel();
        let HostSettings { data_dir, archived, server, .. } = &self.settings;
        let (data_dir, archived, server) = (data_dir.clone(), archived.clone(), *server);
        // A thread that the end of the process does not wait for: an audit may take hours.
        let started = thread::Builder::new().name("mite-audit".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = done.send(verify(&data_dir, archived.as_deref(), server));
        });
        if let Err(error) = started {
            warn!(self.settings.log, "no audit: the system starts no thread"; "error" => %error);
        }
        Box::pin(result.into_actor(self).map(|result, host, _| {
            host.auditing = false;
            let failed = "the audit has ended without a word".to_owned();
            let result = result.unwrap_or(Err(AuditFailure::Unreadable(failed)));
            match &result {
                Ok(verified) => info!(host.settings.log, "the journal is sound";
                    "batch" => verified.batch.get(), "entries" => verified.entries),
                Err(why) => warn!(host.settings.log, "the audit"; "why" => %why),
            }
            result
        }))
    }
}

impl Handler<BackUpLedger> for Host {
    type Result = ResponseActFuture<Self, Result<BackedUp, BackupFailure>>;

    fn handle(&mut self, BackUpLedger(to): BackUpLedger, _: &mut Self::Context) -> Self::Result {
        if std::mem::replace(&mut self.backing_up, true) {
            return Box::pin(async { Err(BackupFailure::Busy) }.into_actor(self));
        }
        let (done, result) = oneshot::channel();
        let HostSettings { data_dir, archived, server, .. } = &self.settings;
        let (data_dir, archived, server) = (data_dir.clone(), archived.clone(), *server);
        // Not waited for at the end of the process, either: whatever stops it, the copies are a backup.
        let started = thread::Builder::new().name("mite-backup".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let source = Source { data_dir: &data_dir, archived: archived.as_deref() };
            let _ = done.send(back_up(source, &to, server, true, |_| {}));
        });
        if let Err(error) = started {
            warn!(self.settings.log, "no backup: the system starts no thread"; "error" => %error);
        }
        Box::pin(result.into_actor(self).map(|result, host, _| {
            host.backing_up = false;
            let result = match result {
                Ok(Ok(report)) => Ok(backed_up(&report)),
                Ok(Err(error)) => Err(BackupFailure::Failed(error.to_string())),
                Err(_) => Err(BackupFailure::Failed("it has ended without a word".to_owned())),
            };
            match &result {
                Ok(backed_up) => info!(host.settings.log, "the ledger is backed up";
                    "batch" => backed_up.batch.get(), "bytes" => backed_up.copied_bytes),
                Err(why) => warn!(host.settings.log, "no backup"; "why" => %why),
            }
            result
        }))
    }
}

impl Handler<DrainServer> for Host {
    type Result = MessageResult<DrainServer>;

    fn handle(&mut self, DrainServer: DrainServer, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.settings.drain.clone())
    }
}

fn backed_up(report: &BackupReport) -> BackedUp {
    BackedUp {
        batch: report.last.batch,
        head: report.last.head,
        entries: report.last.next_entry.get(),
        incremental: report.incremental,
        copied_batches: report.batches,
        copied_bytes: report.bytes,
    }
}

/// The audit of the live journal, as `--role audit ledger` makes it.
fn verify(
    data_dir: &Path,
    archived: Option<&Path>,
    server: PublicKey,
) -> Result<Verified, AuditFailure> {
    let began = Instant::now();
    let open = |directory| match ReadOnlyDirectory::open(directory) {
        Ok(storage) => Ok(Arc::new(storage) as Arc<dyn Storage>),
        Err(error) => Err(AuditFailure::Unreadable(error.to_string())),
    };
    let mut storage = open(data_dir)?;
    if let Some(archived) = archived {
        storage = Arc::new(WithArchived::new(storage, open(archived)?));
    }
    let audited = audit(storage, server, &[], |_| {}).map_err(|error| match &error {
        AuditError::Journal(OpenError::Io(_)) => AuditFailure::Unreadable(error.to_string()),
        _ => AuditFailure::Fault(error.to_string()),
    })?;
    Ok(Verified {
        batch: audited.last.batch,
        head: audited.last.head,
        entries: audited.last.next_entry.get(),
        accounts: audited.accounts as u64,
        supply: Amount::new(u64::try_from(audited.supply).unwrap_or(u64::MAX)),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
