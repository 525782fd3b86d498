//! What a session asks of its neighbours, and what it does with their answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::prelude::*;
use slog::info;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::secure::{Answer, Event, OwnAccount, Problem};
use wire::{NewUsername, P2pPort, PublicKey, Receipt, Refusal, SignedKeyChange, Username};

use super::conversation::{Alone, Ticket, Turn};
use super::follow_up::{FollowUp, find_key, ledger_problem, submit};
use super::pace::BUSY;
use super::round::{Report, Round, SignedRound};
use super::{SecurePeers, SecureSession, Stage, report_log};
use crate::ledger::state::{Command, KeyHolder, Outcome};
use crate::messages::{
    LedgerUnavailable, LogInKeyed, LogOut, NotifyParties, RetireKey, Settlement, SubmitForReceipts,
    Verdicts, VerifierBusy,
};

impl<S: AsyncRead + AsyncWrite + 'static> SecureSession<S> {
    /// Asks what can be asked together.
    pub(super) fn ask(&mut self, turn: Turn, ctx: &mut Context<Self>) {
        let Turn { refused, plain, signed, .. } = turn;
        for (ticket, problem) in refused {
            self.respond(&ticket, Err(problem));
        }
        if !plain.is_empty() {
            self.ask_ledger(plain, ctx);
        }
        if !signed.is_empty() {
            self.ask_verifier(signed, ctx);
        }
    }

    fn ask_verifier(&mut self, mut signed: SignedRound, ctx: &mut Context<Self>) {
        let conversation = &self.conversation;
        let question = signed.question(conversation.key(), conversation.is_suspect());
        let asked = self.peers.verify.send(question);
        let verified = async move {
            match asked.await {
                Ok(checked) => checked.map_err(|VerifierBusy| BUSY),
                Err(_) => Err(Problem::Stopping),
            }
        };
        ctx.spawn(verified.into_actor(self).map(|verdicts, session, ctx| {
            session.take_verdicts(signed, verdicts, ctx);
            session.advance(ctx);
        }));
    }

    fn take_verdicts(
        &mut self,
        signed: SignedRound,
        verdicts: Result<Verdicts, Problem>,
        ctx: &mut Context<Self>,
    ) {
        // Calls with orders need the account.
        let Some(own) = self.conversation.own() else { return };
        let verdicts = match verdicts {
            Ok(verdicts) => verdicts,
            Err(problem) => {
                self.log.warning(&format!("orders not taken: {problem}"));
                for (ticket, _) in signed.calls {
                    self.respond(&ticket, Err(problem));
                }
                return;
            }
        };
        let (round, invalid) = signed.verified(self.conversation.key(), own, verdicts);
        if invalid > 0 {
            self.conversation.suspect();
            self.report(&Report::InvalidSignatures(invalid));
        }
        self.ask_ledger(round, ctx);
    }

    fn ask_ledger(&mut self, mut round: Round, ctx: &mut Context<Self>) {
        let wants_receipts = round.wants_receipts();
        let commands = std::mem::take(&mut round.commands);
        let peers = Arc::clone(&self.peers);
        let settled = async move {
            if wants_receipts {
                return settle(commands, &peers).await;
            }
            let outcomes = submit(commands, &peers).await?;
            let settlement = |outcome| Settlement { outcome, receipt: None };
            Ok(outcomes.into_iter().map(settlement).collect())
        };
        ctx.spawn(settled.into_actor(self).map(|settlements, session, ctx| {
            session.take_settlements(round, settlements, ctx);
            session.advance(ctx);
        }));
    }

    fn take_settlements(
        &mut self,
        round: Round,
        settlements: Result<Vec<Settlement>, Problem>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(problem) = &settlements {
            self.log.warning(&format!("calls not taken: {problem}"));
        }
        if let Err(Problem::OutcomeUnknown) = settlements {
            return self.cut(Problem::OutcomeUnknown);
        }
        // A round is made of calls that need the account.
        let Some(own) = self.conversation.own() else { return };
        let answered = round.answer(own, settlements, self.clock.now());
        if !answered.events.is_empty() {
            self.notify(NotifyParties(answered.events), ctx);
        }
        for report in &answered.reports {
            self.report(report);
        }
        if answered.retired {
            return self.cut(Problem::KeyRetired);
        }
        for (ticket, result) in answered.answers {
            self.respond(&ticket, result);
        }
        let (keeps, others) = answered
            .follow_ups
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, follow_up)| matches!(follow_up, FollowUp::Keep(_)));
        // All with one sync, for which they wait.
        for keep in keeps {
            self.follow_up(VecDeque::from([keep]), ctx);
        }
        let (archive, registry) = others
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, follow_up)| follow_up.asks_archive());
        self.follow_up(registry, ctx);
        self.follow_up(archive, ctx);
    }

    fn notify(&mut self, news: NotifyParties, ctx: &mut Context<Self>) {
        let Some(told) = self.telling.tell(&self.peers.notify, news) else { return };
        // Without a registry nobody is told.
        ctx.spawn(told.into_actor(self).map(|_, session, ctx| {
            session.telling.heard();
            session.advance(ctx);
        }));
    }

    /// Asks one after the other.
    fn follow_up(&mut self, mut rest: VecDeque<(Ticket, FollowUp)>, ctx: &mut Context<Self>) {
        let Some((ticket, follow_up)) = rest.pop_front() else { return };
        let (session, peers) = (self.id, Arc::clone(&self.peers));
        let asked = async move { follow_up.ask(session, &peers).await };
        ctx.spawn(asked.into_actor(self).map(move |result, session, ctx| {
            session.respond(&ticket, result);
            session.follow_up(rest, ctx);
            session.advance(ctx);
        }));
    }

    /// Does a call before which all others are answered.
    pub(super) fn ask_alone(&mut self, ticket: Ticket, alone: Alone, ctx: &mut Context<Self>) {
        match alone {
            Alone::Register(name) => self.register(ticket, name, ctx),
            Alone::LogIn(port) => self.log_in(ticket, port, ctx),
            Alone::ChangeKey(change) => self.change_key(ticket, *change, ctx),
            Alone::LogOut => {
                // Whoever has read the answer finds the account offline on every thread.
                self.peers.log_out.do_send(LogOut(self.id));
                self.conversation.logged_out();
                self.answer_alone(&ticket, Ok(Answer::LoggedOut));
                self.stage = Stage::Closing;
            }
        }
    }

    fn register(&mut self, ticket: Ticket, name: NewUsername, ctx: &mut Context<Self>) {
        let (commands, peers) = (self.conversation.register(name.clone()), Arc::clone(&self.peers));
        let opened = async move { submit(commands, &peers).await };
        ctx.spawn(opened.into_actor(self).map(move |outcomes, session, ctx| {
            let result = outcomes.and_then(|outcomes| session.registered(outcomes));
            session.log.limited(|log| match &result {
                Ok(_) => info!(log, "account opened"; "name" => %name.as_username()),
                Err(problem) => info!(log, "account refused"; "name" => %name.as_username(),
                    "why" => %problem),
            });
            match result {
                Err(last_word @ (Problem::KeyRetired | Problem::OutcomeUnknown)) => {
                    session.cut(last_word);
                }
                result => session.answer_alone(&ticket, result.map(Answer::Registered)),
            }
            session.advance(ctx);
        }));
    }

    fn registered(&mut self, outcomes: Vec<Outcome>) -> Result<OwnAccount, Problem> {
        let [opening, Outcome::FoundKey(holder)] =
            <[Outcome; 2]>::try_from(outcomes).map_err(|_| Problem::Stopping)?
        else {
            return Err(Problem::Stopping);
        };
        // Another connection may have opened the account, and may even have changed its key.
        let own = holder.map(|holder| self.conversation.adopt(holder)).transpose()?;
        match (opening, own) {
            (Outcome::Opened(_), Some(own)) => Ok(own),
            (Outcome::Refused(Refusal::KeyInUse), _) | (Outcome::ReadOnly, Some(_)) => {
                Err(Problem::AlreadyRegistered)
            }
            (Outcome::Refused(refusal), _) => Err(Problem::Refused(refusal)),
            (Outcome::ReadOnly, None) => Err(Problem::ReadOnly),
            _ => Err(Problem::Stopping),
        }
    }

    fn log_in(&mut self, ticket: Ticket, port: Option<P2pPort>, ctx: &mut Context<Self>) {
        let attempt = self.conversation.begin_log_in();
        let address = port.map(|port| self.conversation.address(port));
        let (session, key) = (self.id, self.conversation.key());
        let notices = ctx.address().downgrade().recipient();
        let log_in =
            move |name: Username| LogInKeyed { session, attempt, name, key, address, notices };
        let peers = Arc::clone(&self.peers);
        let logged_in = async move { come_online(key, log_in, &peers).await };
        ctx.spawn(logged_in.into_actor(self).map(move |end, session, ctx| {
            match end {
                Ok(holder) => session.logged_in(&ticket, holder, address, ctx),
                Err(LogInFailure::Refused(Problem::KeyRetired)) => session.cut(Problem::KeyRetired),
                Err(LogInFailure::Refused(problem)) => session.answer_alone(&ticket, Err(problem)),
                Err(LogInFailure::Undone(problem)) => session.cut(problem),
            }
            session.advance(ctx);
        }));
    }

    fn logged_in(
        &mut self,
        ticket: &Ticket,
        holder: KeyHolder,
        address: Option<SocketAddr>,
        ctx: &mut Context<Self>,
    ) {
        let own = match self.conversation.adopt(holder) {
            Ok(own) => own,
            Err(problem) => return self.cut(problem),
        };
        let in_force = self.conversation.logged_in();
        self.log.logged_in(&own.name, own.account, address);
        self.answer_alone(ticket, Ok(Answer::LoggedIn(own)));
        if !in_force {
            self.log.replaced();
            self.tell(Event::Replaced, ctx);
        }
    }

    fn change_key(&mut self, ticket: Ticket, change: SignedKeyChange, ctx: &mut Context<Self>) {
        // Two signatures, once in a connection's life: it ends here if they are not valid.
        let commands = change.verify().ok().and_then(|change| self.conversation.change_key(change));
        let Some(commands) = commands else {
            self.log.warning("a key change is not signed by both keys, closing");
            self.answer_alone(&ticket, Err(Problem::InvalidSignature));
            self.stage = Stage::Closing;
            return;
        };
        let peers = Arc::clone(&self.peers);
        let changed = async move { settle(commands, &peers).await };
        ctx.spawn(changed.into_actor(self).map(move |settlements, session, ctx| {
            match settlements.and_then(key_changed) {
                Ok(receipt) => session.end_with_old_key(&ticket, receipt),
                Err(last_word @ (Problem::KeyRetired | Problem::OutcomeUnknown)) => {
                    session.cut(last_word);
                }
                Err(problem) => session.answer_alone(&ticket, Err(problem)),
            }
            session.advance(ctx);
        }));
    }

    fn end_with_old_key(&mut self, ticket: &Ticket, receipt: Option<Box<Receipt>>) {
        if let Some(own) = self.conversation.own() {
            info!(self.log.now(), "key changed"; "name" => %own.name);
            let retire = RetireKey { name: own.name.clone(), key: self.conversation.key() };
            self.peers.retire_key.do_send(retire);
        }
        match receipt {
            Some(receipt) => {
                self.answer_alone(ticket, Ok(Answer::KeyChanged(receipt)));
                self.stage = Stage::Closing;
            }
            // The client learns it like everybody else who has the old key.
            None => self.cut(Problem::KeyRetired),
        }
    }

    fn answer_alone(&mut self, ticket: &Ticket, result: Result<Answer, Problem>) {
        self.conversation.answered_alone(ticket);
        self.write_response(ticket, result);
    }

    fn report(&mut self, report: &Report) {
        self.log.limited(|log| report_log::write(report, log));
    }
}

/// Why a log-in is not in force.
enum LogInFailure {
    /// All is as it was.
    Refused(Problem),
    /// The session was online and is not any more, whatever it was before.
    Undone(Problem),
}

/// Comes online by `log_in`, if the key is still the account's: asked before, so that the holder of
/// an old key takes nobody's place, and after, as it may have been changed in between.
async fn come_online(
    key: PublicKey,
    log_in: impl FnOnce(Username) -> LogInKeyed,
    peers: &SecurePeers,
) -> Result<KeyHolder, LogInFailure> {
    let find = async || match find_key(key, peers).await? {
        None => Err(Problem::NoAccount),
        Some(KeyHolder { current: false, .. }) => Err(Problem::KeyRetired),
        Some(holder) => Ok(holder),
    };
    let holder = find().await.map_err(LogInFailure::Refused)?;
    let log_in = log_in(holder.name);
    let session = log_in.session;
    let sent = peers.log_in.send(log_in).await;
    sent.map_err(|_| LogInFailure::Refused(Problem::Stopping))?;
    find().await.map_err(|problem| {
        peers.log_out.do_send(LogOut(session));
        LogInFailure::Undone(problem)
    })
}

async fn settle(commands: Vec<Command>, peers: &SecurePeers) -> Result<Vec<Settlement>, Problem> {
    let settled = peers.submit_for_receipts.send(SubmitForReceipts(commands)).await;
    settled.unwrap_or(Err(LedgerUnavailable::Stopping)).map_err(ledger_problem)
}

/// What came of a key change: `None` if it is done and there is no receipt.
fn key_changed(settlements: Vec<Settlement>) -> Result<Option<Box<Receipt>>, Problem> {
    let [holder, change] =
        <[Settlement; 2]>::try_from(settlements).map_err(|_| Problem::Stopping)?;
    if !matches!(holder.outcome, Outcome::FoundKey(Some(KeyHolder { current: true, .. }))) {
        return Err(Problem::KeyRetired);
    }
    match change.outcome {
        Outcome::KeyChanged(_) => Ok(change.receipt),
        Outcome::Refused(refusal) => Err(Problem::Refused(refusal)),
        Outcome::ReadOnly => Err(Problem::ReadOnly),
        _ => Err(Problem::Stopping),
    }
}
