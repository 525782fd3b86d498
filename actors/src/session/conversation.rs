//! What a text session says: decided purely, done by the [`Session`](super::Session).
//!
//! Requests are taken in rounds. A round is what can be asked of the ledger and the registry at
//! once: everything up to and including the next list, and never past a log-in or a farewell,
//! which change what the following requests may do.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use wire::text::reply::write_list_head;
use wire::text::{Addressee, Dialect, InvalidRequest, Reply, TextPayment, TextRequest};
use wire::{
    Access, AccountId, Amount, NewUsername, NewUsernameError, P2pPort, PublicKey, Refusal, Username,
};

use crate::ledger::state::{Command, Outcome};
use crate::messages::{LedgerUnavailable, LogInRefusal, OnlineList};

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
    peer_ip: IpAddr,
    login: Option<Login>,
    /// How often this session has asked to be logged in.
    attempts: u64,
    /// The last of its log-ins that another session has ended.
    replaced: u64,
    requests: VecDeque<Result<TextRequest, InvalidRequest>>,
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
    /// The farewell is written; close the connection.
    Close,
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

/// How one request of a round is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// With this, whatever the ledger says.
    Known(Reply),
    /// With no: such a name is not given to anybody.
    UnfitName(Username, NewUsernameError),
    /// With the outcome of the next command, an opening.
    Opening(Username),
    /// With the outcome of the next command, a transfer.
    Transfer(TextPayment),
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
}

impl Conversation {
    pub(super) fn new(rules: TextRules, peer_ip: IpAddr) -> Self {
        let requests = VecDeque::new();
        Self { rules, peer_ip, login: None, attempts: 0, replaced: 0, requests }
    }

    /// More requests have arrived.
    pub(super) fn ask(&mut self, requests: Vec<Result<TextRequest, InvalidRequest>>) {
        self.requests.extend(requests);
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
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Next {
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
        match self.requests.pop_front_if(|request| matches!(request, Ok(TextRequest::LogIn { .. })))
        {
            Some(Ok(TextRequest::LogIn { name, port })) => self.log_in(name, port),
            _ => Next::Round(self.plan()),
        }
    }

    fn log_in(&mut self, name: Username, port: P2pPort) -> Next {
        self.attempts += 1;
        let address = SocketAddr::new(self.peer_ip, port.get());
        Next::LogIn { attempt: self.attempts, name, address }
    }

    /// Takes requests for one round.
    fn plan(&mut self) -> Round {
        let mut round = Round::default();
        while let Some(request) = self.requests.pop_front_if(|request| {
            !matches!(request, Ok(TextRequest::LogIn { .. } | TextRequest::Exit))
        }) {
            self.plan_one(request, &mut round);
            if round.wants_list {
                break;
            }
        }
        round
    }

    fn plan_one(&self, request: Result<TextRequest, InvalidRequest>, round: &mut Round) {
        let answer = match (request, self.login()) {
            (Ok(TextRequest::Register(name)), _) => self.plan_opening(name, round),
            (Ok(TextRequest::List), Some(login)) => {
                round.plan_list(login.account);
                return;
            }
            (Ok(TextRequest::Pay(payment)), Some(login)) => {
                let command =
                    Command::TextTransfer { sender: login.account, payment: payment.clone() };
                round.commands.push(command);
                Answer::Transfer(payment)
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

    fn plan_opening(&self, name: Username, round: &mut Round) -> Answer {
        let new_name = match NewUsername::try_from(name.clone()) {
            Ok(new_name) => new_name,
            Err(why) => return Answer::UnfitName(name, why),
        };
        round.commands.push(Command::OpenAccount {
            name: new_name,
            access: Access::Open,
            grant: self.rules.opening_balance,
        });
        Answer::Opening(name)
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
                    answered.reports.push(Report::Invalid(reply));
                    (reply, None)
                }
                Answer::UnfitName(name, why) => {
                    answered.reports.push(Report::UnfitName(name, why));
                    (Reply::RegisterFailed, None)
                }
                Answer::Opening(name) => {
                    let (reply, result) = opening_reply(outcome().as_ref());
                    answered.reports.extend(result.map(|result| Report::Opening(name, result)));
                    (reply, None)
                }
                Answer::Transfer(payment) => {
                    let (reply, result) = transfer_reply(outcome().as_ref());
                    let payer = payment.payer.clone();
                    answered.reports.extend(result.map(|result| Report::Payment(payment, result)));
                    (reply, Some(payer))
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

impl Round {
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
