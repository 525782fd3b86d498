//! The Host: what an operator asks of the server as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use actix::fut::WrapFuture as _;
use actix::{Actor, ActorFutureExt as _, Context, Handler, ResponseActFuture, ResponseFuture};
use actors::ledger::audit::{AuditError, audit};
use actors::ledger::journal::{OpenError, ReadOnlyDirectory};
use actors::ledger::{LedgerHealth, system_clock};
use actors::messages::{
    AuditFailure, AuditJournal, DrainServer, FilesUnreadable, ReadServer, ServerFacts,
};
use slog::{Logger, info, warn};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wire::admin::{Condition, Verified};
use wire::{Amount, PublicKey, Timestamp};

use super::files;
use crate::listener::Gate;

/// What the Host needs to know of its server.
pub(in crate::server) struct HostSettings {
    pub(in crate::server) data_dir: PathBuf,
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
}

impl Host {
    pub(in crate::server) fn new(settings: HostSettings) -> Self {
        Self { settings, started: system_clock(), auditing: false }
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
    type Result = ResponseFuture<Result<ServerFacts, FilesUnreadable>>;

    fn handle(&mut self, ReadServer: ReadServer, _: &mut Self::Context) -> Self::Result {
        let condition = self.condition();
        let (server, started) = (self.settings.server, self.started);
        let connections = self.settings.gate.open() as u64;
        let data_dir = self.settings.data_dir.clone();
        Box::pin(async move {
            let measured = spawn_blocking(move || files::measure(&data_dir)).await;
            let unreadable = |why: String| FilesUnreadable(why);
            let files = measured
                .map_err(|error| unreadable(error.to_string()))?
                .map_err(|error| unreadable(error.to_string()))?;
            Ok(ServerFacts {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                server,
                started,
                now: system_clock(),
                condition,
                connections,
                files,
            })
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
        let (data_dir, server) = (self.settings.data_dir.clone(), self.settings.server);
        // A thread that the end of the process does not wait for: an audit may take hours.
        let started = thread::Builder::new().name("mite-audit".to_owned()).spawn(move || {
            // Whoever asked may have gone.
            let _ = done.send(verify(&data_dir, server));
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

impl Handler<DrainServer> for Host {
    type Result = ();

    fn handle(&mut self, DrainServer: DrainServer, _: &mut Self::Context) {
        self.settings.drain.cancel();
    }
}

/// The audit of the live journal, as `--role audit ledger` makes it.
fn verify(data_dir: &Path, server: PublicKey) -> Result<Verified, AuditFailure> {
    let began = Instant::now();
    let storage = ReadOnlyDirectory::open(data_dir)
        .map_err(|error| AuditFailure::Unreadable(error.to_string()))?;
    let audited = audit(Arc::new(storage), server, &[], |_| {}).map_err(|error| match &error {
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
