//! What a text session says: decided purely, done by the [`Session`](super::Session).
//!
//! Requests are taken in rounds. A round is what can be asked of the ledger and the registry at
//! once: everything up to and including the next list, and never past a log-in or a farewell,
//! which change what the following requests may do.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wire::text::reply::write_list_head;
use wire::text::{Addressee, Dialect, InvalidRequest, Reply, TextPayment, TextRequest};
use wire::{
    Access, AccountId, Amount, NewUsername, NewUsernameError, P2pPort, PublicKey, Refusal, Username,
};

use crate::connection::LOG_LINES_PER_SECOND;
use crate::ledger::state::{Command, Outcome};
use crate::limits::{FewPayments, Pace, SessionLimits};
use crate::messages::{LedgerUnavailable, LogInRefusal, OnlineList};

/// How many requests of a round are told to the log one by one: as many as it may hold of a session in a
/// second. The others are counted.
const REPORTS_MAX: usize = LOG_LINES_PER_SECOND as usize;

/// How many requests are in a round at most while others wait for few payments: a tenth of a millisecond's work.
pub(super) const SHARED_ROUND_MAX: usize = 256;

/// What all text sessions of a server have in common.
#[derive(Clone, Debug)]
pub struct TextRules {
    /// Whose words the server uses.
    pub dialect: Dialect,
    /// What a new account is granted.
    pub opening_balance: Amount,
    /// The key that stands in every list.
    pub server_key: PublicKey,
}

/// One session's side of the conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    rules: TextRules,
    limits: Arc<SessionLimits>,
    /// How often this session has had the list lately.
    lists: Pace,
    peer_ip: IpAddr,
    login: Option<Login>,
    /// How often this session has asked to be logged in.
    attempts: u64,
    /// The last of its log-ins that another session has ended.
    replaced: u64,
    requests: VecDeque<Result<TextRequest, InvalidRequest>>,
    few_payments: FewPayments,
}

#[derive(Debug)]
struct Login {
    name: Username,
    account: AccountId,
    attempt: u64,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: all requests are answered.
    Idle,
    /// Ask the ledger and, if the round wants it, the registry; then [`Conversation::answer`].
    Round(Round),
    /// Ask the registry to log in; then [`Conversation::logged_in`].
    LogIn {
        /// Which one of this session's.
        attempt: u64,
        /// The account.
        name: Username,
        /// Where its peers reach it.
        address: SocketAddr,
    },
    /// Nothing yet: the list is not had so often. It is asked for again after a while.
    Wait(Duration),
    /// The farewell is written; close the connection.
    Close,
}

/// How many requests are in a round, the list at its end included.
enum RoundLen {
    WithList(usize),
    WithoutList(usize),
}

/// Requests that are answered together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// For the ledger, in order.
    pub(super) commands: Vec<Command>,
    /// Whether the list of who is online is needed.
    pub(super) wants_list: bool,
    /// One for each request, in order.
    answers: Vec<Answer>,
}

/// How one request of a round is answered. There may be tens of thousands in a round, so it is small.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// With this, whatever the ledger says.
    Known(Reply),
    /// With no: such a name is not given to anybody.
    UnfitName(Box<Username>, NewUsernameError),
    /// With the outcome of the next command, an opening.
    Opening(Box<Username>),
    /// With the outcome of the next command, a transfer; which one, if anybody is told.
    Transfer(Option<Box<TextPayment>>),
    /// With the outcome of the next command, a balance, and the list.
    List,
}

/// Something that is worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// An account was opened, or not.
    Opening(Username, Result<(), Refusal>),
    /// An account was not opened, since no new account can have this name.
    UnfitName(Username, NewUsernameError),
    /// A payment was settled, or not.
    Payment(TextPayment, Result<(), Refusal>),
    /// A request was none.
    Invalid(Reply),
}

/// What comes of a round, besides the bytes for the session's own connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    /// Lines for the connections of others.
    pub(super) notices: Vec<(Username, &'static str)>,
    /// For the log.
    pub(super) reports: Vec<Report>,
    /// How many more would be.
    pub(super) unreported: u64,
}

impl Conversation {
    pub(super) fn new(rules: TextRules, limits: Arc<SessionLimits>, peer_ip: IpAddr) -> Self {
        Self {
            rules,
            limits,
            lists: Pace::default(),
            peer_ip,
            login: None,
            attempts: 0,
            replaced: 0,
            requests: VecDeque::new(),
            few_payments: FewPayments::default(),
        }
    }

    /// More requests have arrived.
    pub(super) fn ask(&mut self, requests: Vec<Result<TextRequest, InvalidRequest>>) {
        if self.requests.is_empty() {
            // Costs nothing, unlike moving each of them.
            self.requests = requests.into();
        } else {
            self.requests.extend(requests);
        }
    }

    /// Nothing of what was asked and not taken yet will be.
    pub(super) fn forget_requests(&mut self) {
        self.requests = VecDeque::new();
    }

    /// Who is logged in on this session.
    pub(super) fn user(&self) -> Option<&Username> {
        self.login().map(|login| &login.name)
    }

    /// Another session has taken the account of this log-in, whose reply may still be to come.
    pub(super) fn replaced(&mut self, attempt: u64) {
        self.replaced = attempt;
    }

    fn login(&self) -> Option<&Login> {
        self.login.as_ref().filter(|login| login.attempt > self.replaced)
    }

    /// What to do next; a farewell is appended to `out`.
    pub(super) fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        match self.requests.front() {
            None => {
                // A session that waits keeps no room for what it was once asked.
                self.requests = VecDeque::new();
                return Next::Idle;
            }
            Some(Ok(TextRequest::Exit)) => {
                out.extend_from_slice(Reply::Bye.line(self.rules.dialect).as_bytes());
                self.requests.clear();
                return Next::Close;
            }
            Some(_) => {}
        }
        let count = match self.round_len(now) {
            RoundLen::WithoutList(count) => count,
            RoundLen::WithList(count) => match self.pace_list(now) {
                Ok(()) => count,
                Err(wait) if count == 1 => return Next::Wait(wait),
                // What stands before the list waits for nothing.
                Err(_) => count - 1,
            },
        };
        if count > 0 {
            return Next::Round(self.plan(count, now));
        }
        // The list answers a log-in, too.
        if let Err(wait) = self.pace_list(now) {
            return Next::Wait(wait);
        }
        match self.requests.pop_front() {
            Some(Ok(TextRequest::LogIn { name, port })) => self.log_in(name, port),
            _ => unreachable!("only a log-in or a farewell is in no round"),
        }
    }

    fn pace_list(&mut self, now: Instant) -> Result<(), Duration> {
        self.limits.lists.map_or(Ok(()), |rate| self.lists.take(rate, now))
    }

    fn log_in(&mut self, name: Username, port: P2pPort) -> Next {
        self.attempts += 1;
        let address = SocketAddr::new(self.peer_ip, port.get());
        Next::LogIn { attempt: self.attempts, name, address }
    }

    /// Takes so many requests for one round.
    fn plan(&mut self, count: usize, now: Instant) -> Round {
        let mut requests = std::mem::take(&mut self.requests);
        let mut round = Round::with_capacity(count);
        for request in requests.drain(..count) {
            self.plan_one(request, now, &mut round);
        }
        // What was a long queue is not kept for an idle session.
        if !requests.is_empty() {
            self.requests = requests;
        }
        self.note_payments(&round, now);
        round
    }

    /// Has others share the server with this session if it waits for few payments, again and again.
    fn note_payments(&mut self, round: &Round, now: Instant) {
        let pays = |command: &Command| matches!(command, Command::TextTransfer { .. });
        let payments = if round.commands.iter().any(pays) { round.answers.len() } else { 0 };
        let alone = self.requests.is_empty();
        self.limits.sharing.note(&mut self.few_payments, payments, alone, now);
    }

    /// How many of the requests are in the next round. Only a list that is given ends it: who is not
    /// logged in is not, and nobody's log-in changes within a round.
    fn round_len(&self, now: Instant) -> RoundLen {
        let lists = self.login().is_some();
        let is_long = self.requests.len() > SHARED_ROUND_MAX;
        let round_max =
            if is_long && self.limits.sharing.is_on(now) { SHARED_ROUND_MAX } else { usize::MAX };
        let mut count = 0;
        for request in self.requests.iter().take(round_max) {
            match request {
                Ok(TextRequest::LogIn { .. } | TextRequest::Exit) => break,
                Ok(TextRequest::List) if lists => return RoundLen::WithList(count + 1),
                _ => count += 1,
            }
        }
        RoundLen::WithoutList(count)
    }

    fn plan_one(
        &self,
        request: Result<TextRequest, InvalidRequest>,
        now: Instant,
        round: &mut Round,
    ) {
        let answer = match (request, self.login()) {
            (Ok(TextRequest::Register(name)), _) => self.plan_opening(name, now, round),
            (Ok(TextRequest::List), Some(login)) => {
                round.plan_list(login.account);
                return;
            }
            (Ok(TextRequest::Pay(payment)), Some(login)) => {
                self.plan_transfer(login.account, payment, round)
            }
            (Err(InvalidRequest::AmountNotPositive), Some(_)) => {
                Answer::Known(Reply::Refused(Refusal::AmountNotPositive))
            }
            (Err(InvalidRequest::PayName), Some(_)) => {
                Answer::Known(Reply::Refused(Refusal::UnknownPayer))
            }
            (
                Ok(TextRequest::List | TextRequest::Pay(_))
                | Err(InvalidRequest::AmountNotPositive | InvalidRequest::PayName),
                None,
            ) => Answer::Known(Reply::NotLoggedIn),
            (Err(InvalidRequest::RegisterName), _) => Answer::Known(Reply::RegisterFailed),
            (Err(InvalidRequest::LogIn), _) => Answer::Known(Reply::LogInFailed),
            // Log-ins and farewells never get into a round.
            (
                Err(InvalidRequest::Malformed) | Ok(TextRequest::LogIn { .. } | TextRequest::Exit),
                _,
            ) => Answer::Known(Reply::BadRequest),
        };
        round.answers.push(answer);
    }

    fn plan_opening(&self, name: Username, now: Instant, round: &mut Round) -> Answer {
        let new_name = match NewUsername::try_from(name.clone()) {
            Ok(new_name) => new_name,
            Err(why) => return Answer::UnfitName(Box::new(name), why),
        };
        if self.limits.registrations.take(self.peer_ip, now).is_err() {
            return Answer::Known(Reply::Unavailable);
        }
        round.commands.push(Command::OpenAccount {
            name: new_name,
            access: Access::Open,
            grant: self.rules.opening_balance,
        });
        Answer::Opening(Box::new(name))
    }

    fn plan_transfer(&self, sender: AccountId, payment: TextPayment, round: &mut Round) -> Answer {
        let payer_is_told = Reply::Settled.addressee(self.rules.dialect) == Addressee::Payer;
        let told = payer_is_told || round.answers.len() < REPORTS_MAX;
        let kept = told.then(|| Box::new(payment.clone()));
        round.commands.push(Command::TextTransfer { sender, payment });
        Answer::Transfer(kept)
    }

    /// Appends the answers of a round to `out`. `list` is what the registry said, if it was asked.
    pub(super) fn answer(
        &self,
        round: Round,
        outcomes: Result<Vec<Outcome>, LedgerUnavailable>,
        list: Option<&OnlineList>,
        out: &mut Vec<u8>,
    ) -> Answered {
        let mut outcomes = outcomes.ok().map(Vec::into_iter);
        let mut answered = Answered::default();
        for answer in round.answers {
            let mut outcome = || outcomes.as_mut().and_then(Iterator::next);
            let (reply, payer) = match answer {
                Answer::Known(reply) => {
                    answered.report(Some(Report::Invalid(reply)));
                    (reply, None)
                }
                Answer::UnfitName(name, why) => {
                    answered.report(Some(Report::UnfitName(*name, why)));
                    (Reply::RegisterFailed, None)
                }
                Answer::Opening(name) => {
                    let (reply, result) = opening_reply(outcome().as_ref());
                    if let Some(result) = result {
                        answered.report(Some(Report::Opening(*name, result)));
                    }
                    (reply, None)
                }
                Answer::Transfer(payment) => {
                    let (reply, result) = transfer_reply(outcome().as_ref());
                    let payer = payment.as_ref().map(|payment| payment.payer.clone());
                    if let Some(result) = result {
                        answered.report(payment.map(|payment| Report::Payment(*payment, result)));
                    }
                    (reply, payer)
                }
                Answer::List => match (outcome(), list) {
                    (Some(Outcome::Balance(balance)), Some(list)) => {
                        self.write_list(balance, list, out);
                        continue;
                    }
                    _ => (Reply::Unavailable, None),
                },
            };
            let line = reply.line(self.rules.dialect);
            match (reply.addressee(self.rules.dialect), payer) {
                (Addressee::Payer, Some(payer)) => answered.notices.push((payer, line)),
                _ => out.extend_from_slice(line.as_bytes()),
            }
        }
        answered
    }

    /// The registry has answered a log-in. The round that follows writes the list, or the refusal.
    pub(super) fn logged_in(
        &mut self,
        name: Username,
        result: Result<AccountId, LogInRefusal>,
    ) -> Round {
        let mut round = Round::default();
        match result {
            Ok(account) => {
                self.login = Some(Login { name, account, attempt: self.attempts });
                round.plan_list(account);
            }
            Err(LogInRefusal::UnknownName | LogInRefusal::KeyRequired) => {
                round.answers.push(Answer::Known(Reply::LogInFailed));
            }
            Err(LogInRefusal::Unavailable(_)) => {
                round.answers.push(Answer::Known(Reply::Unavailable));
            }
        }
        round
    }

    fn write_list(&self, balance: Amount, list: &OnlineList, out: &mut Vec<u8>) {
        write_list_head(balance, &self.rules.server_key, list.count, out);
        out.reserve(list.pages.iter().map(|page| page.len()).sum());
        for page in &*list.pages {
            out.extend_from_slice(page.as_bytes());
        }
    }
}

impl Answered {
    /// Keeps a report; counts what there is none of or no room for.
    fn report(&mut self, report: Option<Report>) {
        match report {
            Some(report) if self.reports.len() < REPORTS_MAX => self.reports.push(report),
            _ => self.unreported += 1,
        }
    }
}

impl Round {
    /// A round of so many requests.
    fn with_capacity(requests: usize) -> Self {
        Self {
            commands: Vec::with_capacity(requests),
            wants_list: false,
            answers: Vec::with_capacity(requests),
        }
    }

    fn plan_list(&mut self, account: AccountId) {
        self.commands.push(Command::ReadBalance(account));
        self.answers.push(Answer::List);
        self.wants_list = true;
    }
}

fn opening_reply(outcome: Option<&Outcome>) -> (Reply, Option<Result<(), Refusal>>) {
    match outcome {
        Some(Outcome::Opened(_)) => (Reply::Registered, Some(Ok(()))),
        Some(Outcome::Refused(refusal)) => (Reply::Refused(*refusal), Some(Err(*refusal))),
        _ => (Reply::Unavailable, None),
    }
}

fn transfer_reply(outcome: Option<&Outcome>) -> (Reply, Option<Result<(), Refusal>>) {
    match outcome {
        Some(Outcome::Settled) => (Reply::Settled, Some(Ok(()))),
        Some(Outcome::Refused(refusal)) => (Reply::Refused(*refusal), Some(Err(*refusal))),
        _ => (Reply::Unavailable, None),
    }
}
