//! The `AdminSession`: one connection of an operator's program, over the socket in the data directory.
//!
//! It takes calls one after the other and has each done by whom it concerns: the Ledger, the Registry,
//! or the server itself. Who may connect was decided before: `docs/adr/0018-the-operator.md`.

use std::path::PathBuf;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, o, warn};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::Username;
use wire::admin::{
    ADMIN_CALL_BYTES_MAX, ADMIN_HELLO_BYTES_MAX, ADMIN_PAGE_MAX, ADMIN_PATH_BYTES_MAX,
    ADMIN_VERSION, AdminAnswer, AdminCall, AdminHello, AdminProblem, AdminReply, ServerStatus,
    magic,
};

use crate::frames::{FrameInput, FrameOutput, InputError};
use crate::ledger::state::{Command, Operated, OperatorCommand, Outcome};
use crate::messages::{
    AuditFailure, AuditJournal, BackUpLedger, BackupFailure, DrainServer, KeepSnapshot,
    LedgerUnavailable, ReadLedger, ReadPresent, ReadServer, ServerFacts, SnapshotFailure, Submit,
};

/// How long the other side may take for its hello, for its next call, and to take an answer. It is a
/// program on the same machine that has nothing to wait for but a person's next word.
const PATIENCE: Duration = Duration::from_mins(1);

/// One read: most calls are shorter.
const READ_BYTES: usize = 1024;

/// Whom an [`AdminSession`] talks to.
#[derive(Clone, Debug)]
pub struct AdminPeers {
    /// The Ledger.
    pub submit: Recipient<Submit>,
    /// The Ledger.
    pub read_ledger: Recipient<ReadLedger>,
    /// The Ledger.
    pub keep_snapshot: Recipient<KeepSnapshot>,
    /// The Registry.
    pub read_present: Recipient<ReadPresent>,
    /// The server.
    pub read_server: Recipient<ReadServer>,
    /// The server.
    pub audit: Recipient<AuditJournal>,
    /// The server.
    pub back_up: Recipient<BackUpLedger>,
    /// The server.
    pub drain: Recipient<DrainServer>,
}

/// The actor of one connection, over any stream.
pub struct AdminSession<S> {
    /// Taken when the session starts.
    link: Option<Link<S>>,
}

impl<S: AsyncRead + AsyncWrite + 'static> AdminSession<S> {
    /// A session with whoever is at the other end of `stream`, and may do what an operator may.
    /// It takes up `place` until it ends.
    pub fn new(stream: S, peers: AdminPeers, place: OwnedSemaphorePermit, log: &Logger) -> Self {
        let (input, output) = tokio::io::split(stream);
        let link = Link {
            input: FrameInput::new(input, ADMIN_HELLO_BYTES_MAX, READ_BYTES),
            output: FrameOutput::new(output),
            peers,
            _place: place,
            log: log.new(o!("actor" => "admin")),
        };
        Self { link: Some(link) }
    }
}

impl<S: AsyncRead + AsyncWrite + 'static> Actor for AdminSession<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(link) = self.link.take() else { return ctx.stop() };
        ctx.spawn(link.run().into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

struct Link<S> {
    input: FrameInput<ReadHalf<S>>,
    output: FrameOutput<WriteHalf<S>>,
    peers: AdminPeers,
    _place: OwnedSemaphorePermit,
    log: Logger,
}

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("{}", crate::reason::reason(.0))]
    Output(#[from] std::io::Error),
    #[error("it is silent")]
    Silent,
    #[error("it speaks another version or another protocol")]
    OtherVersion,
}

impl<S: AsyncRead + AsyncWrite + 'static> Link<S> {
    async fn run(mut self) {
        let why = match self.converse().await {
            Ok(never) => match never {},
            Err(why) => why,
        };
        debug!(self.log, "disconnected"; "why" => %why);
        self.output.close().await;
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, Ended> {
        let hello: AdminHello = self.next().await?;
        // Said in any case: the other side says what is wrong.
        self.say(&AdminHello::new(magic::SERVER)).await?;
        if hello.magic != magic::OPERATOR || hello.version != ADMIN_VERSION {
            return Err(Ended::OtherVersion);
        }
        self.input.set_limit(ADMIN_CALL_BYTES_MAX);
        loop {
            let call = match self.next::<AdminCall>().await {
                Err(Ended::Input(InputError::Violation(error))) => {
                    self.say(&AdminReply::Err(AdminProblem::Malformed)).await?;
                    return Err(InputError::Violation(error).into());
                }
                call => call?,
            };
            if call == AdminCall::Drain {
                match self.peers.drain.send(DrainServer).await {
                    Ok(drain) => return self.drain(&drain).await,
                    Err(error) => self.say(&AdminReply::Err(host_gone(error))).await?,
                }
                continue;
            }
            let reply = self.peers.answer(call, &self.log).await;
            self.say(&reply).await?;
        }
    }

    /// Has the server stop once the operator has heard that it will.
    async fn drain(
        &mut self,
        drain: &CancellationToken,
    ) -> Result<std::convert::Infallible, Ended> {
        info!(self.log, "the operator drains the server");
        let told = self.say(&AdminReply::Ok(AdminAnswer::Draining)).await;
        drain.cancel();
        told?;
        // The end of the connection tells the operator that the process has ended.
        std::future::pending().await
    }

    async fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Ended> {
        let next = timeout(PATIENCE, self.input.next()).await;
        Ok(next.map_err(|_| Ended::Silent)??)
    }

    async fn say<T: serde::Serialize>(&mut self, value: &T) -> Result<(), Ended> {
        self.output.push(value);
        let written = timeout(PATIENCE, self.output.drain()).await;
        Ok(written.map_err(|_| Ended::Silent)??)
    }
}

impl AdminPeers {
    async fn answer(&self, call: AdminCall, log: &Logger) -> AdminReply {
        match call {
            AdminCall::Status => self.status().await,
            AdminCall::Online { after, limit } => self.online(after, limit).await,
            AdminCall::Deposit { account, amount, id } => {
                self.operate(OperatorCommand::Deposit { account, amount, id }, log).await
            }
            AdminCall::Withdraw { account, amount, id } => {
                self.operate(OperatorCommand::Withdraw { account, amount, id }, log).await
            }
            AdminCall::Freeze { account, reason } => {
                self.operate(OperatorCommand::Freeze { account, reason }, log).await
            }
            AdminCall::Unfreeze { account } => {
                self.operate(OperatorCommand::Unfreeze { account }, log).await
            }
            AdminCall::Snapshot => {
                let kept = self.keep_snapshot.send(KeepSnapshot).await.map_err(gone)?;
                kept.map(AdminAnswer::SnapshotKept).map_err(|failure| match failure {
                    SnapshotFailure::Unavailable(why) => unavailable(why),
                    SnapshotFailure::Failed(why) => AdminProblem::Failed(why),
                })
            }
            AdminCall::Verify => {
                let verified = self.audit.send(AuditJournal).await.map_err(host_gone)?;
                verified.map(|verified| AdminAnswer::Verified(Box::new(verified))).map_err(
                    |failure| match failure {
                        AuditFailure::Busy => AdminProblem::Busy,
                        AuditFailure::Unreadable(why) => AdminProblem::Failed(why),
                        AuditFailure::Fault(fault) => AdminProblem::Fault(fault),
                    },
                )
            }
            AdminCall::Backup { to } => self.back_up(to.into()).await,
            AdminCall::Drain => unreachable!("the caller does that"),
        }
    }

    async fn status(&self) -> AdminReply {
        let facts = self.read_server.send(ReadServer).await.map_err(host_gone)?;
        // When the disk fails, the ledger reads its journal again, and its files may be hidden: the rest is
        // what the operator needs most.
        let ledger = self.read_ledger.send(ReadLedger).await.map_err(gone)?.ok();
        let nobody = ReadPresent { after: None, limit: 0 };
        let present = self.read_present.send(nobody).await.map_err(gone)?;
        let ServerFacts { version, server, started, now, condition, connections, files } = facts;
        Ok(AdminAnswer::Status(Box::new(ServerStatus {
            version,
            server,
            started,
            now,
            condition,
            ledger,
            connections,
            online: present.online,
            files: files.map_err(|unreadable| unreadable.0),
        })))
    }

    async fn back_up(&self, to: PathBuf) -> AdminReply {
        // The server's own place is not the operator's.
        if !to.is_absolute() || to.as_os_str().len() > ADMIN_PATH_BYTES_MAX {
            return Err(AdminProblem::Failed("a backup needs a path from the root".into()));
        }
        let backed_up = self.back_up.send(BackUpLedger(to)).await.map_err(host_gone)?;
        match backed_up {
            Ok(backed_up) => Ok(AdminAnswer::BackedUp(Box::new(backed_up))),
            Err(BackupFailure::Busy) => Err(AdminProblem::Busy),
            Err(BackupFailure::Failed(why)) => Err(AdminProblem::Failed(why)),
        }
    }

    async fn online(&self, after: Option<Username>, limit: u32) -> AdminReply {
        let read = ReadPresent { after, limit: limit.clamp(1, ADMIN_PAGE_MAX) };
        let page = self.read_present.send(read).await.map_err(gone)?;
        Ok(AdminAnswer::Online { people: page.people, more: page.more })
    }

    async fn operate(&self, command: OperatorCommand, log: &Logger) -> AdminReply {
        let text = format!("{command:?}");
        let commands = vec![Command::Operate(Box::new(command))];
        let outcomes = self.submit.send(Submit(commands)).await.map_err(gone)?;
        let outcome = outcomes.map_err(unavailable)?.into_iter().next();
        match outcome {
            Some(Outcome::Operated(Ok(Operated { entry, repeated, balance }))) => {
                info!(log, "the operator has changed an account"; "what" => text,
                    "entry" => entry.get(), "repeated" => repeated);
                Ok(AdminAnswer::Operated { entry, repeated, balance })
            }
            Some(Outcome::Operated(Err(refusal))) => {
                warn!(log, "the operator's change is refused"; "what" => text, "why" => %refusal);
                Err(AdminProblem::Refused(refusal))
            }
            Some(Outcome::ReadOnly) => Err(AdminProblem::ReadOnly),
            _ => Err(AdminProblem::Failed("the ledger has answered something else".into())),
        }
    }
}

/// Whoever was asked is not there any more: the server is about to end.
fn gone(_: MailboxError) -> AdminProblem {
    AdminProblem::Stopping
}

/// The server's own actor has panicked: it lives as long as the process otherwise. Payments go on without it.
fn host_gone(_: MailboxError) -> AdminProblem {
    let why = "this part of the server has failed: stop it with SIGTERM, and start it again";
    AdminProblem::Failed(why.to_owned())
}

fn unavailable(why: LedgerUnavailable) -> AdminProblem {
    match why {
        LedgerUnavailable::Busy => AdminProblem::Busy,
        LedgerUnavailable::Stopping => AdminProblem::Stopping,
        LedgerUnavailable::ReadOnly => AdminProblem::ReadOnly,
        LedgerUnavailable::OutcomeUnknown => AdminProblem::OutcomeUnknown,
    }
}

#[cfg(test)]
mod tests;
