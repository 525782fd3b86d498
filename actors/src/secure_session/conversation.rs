//! What a secure session takes and what it may do: decided purely, done by the
//! [`SecureSession`](super::SecureSession).
//!
//! Calls that came together are asked together, in a [`Turn`]: those with signatures go by way of
//! the verifier, all others straight to the ledger. Calls that change what the session is
//! (register, log in, change the key, log out) are done alone: when all before them are answered,
//! and before any behind them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::Instant;
use wire::order::ORDER_VALIDITY_MS_MAX;
use wire::secure::call::{PAGE_ITEMS_MAX, orders_per_call_max};
use wire::secure::hello::{Limits, magic};
use wire::secure::{
    Call, Correlation, OwnAccount, PROTOCOL_VERSION_MIN, Problem, Request, Welcome,
};
use wire::{
    Access, AccountId, Amount, NewUsername, P2pPort, PublicKey, SignedKeyChange, SignedOrder,
    Timestamp, Username, VerifiedKeyChange,
};

use super::follow_up::FollowUp;
use super::load::{Load, page};
use super::orders::Statuses;
use super::pace::{Paced, Paces};
use super::round::{Planned, Round, SignedCall, SignedRound};
use crate::ledger::state::{Command, KeyHolder};
use crate::limits::{FewPayments, SessionLimits};
use crate::messages::{FindReceipts, ReadHistory, ReadOnline, ReadOpenOrders, Sought};

/// What all secure sessions of a server have in common.
#[derive(Clone, Copy, Debug)]
pub struct SecureRules {
    /// What a new account is granted.
    pub opening_balance: Amount,
    /// The key of the server, which every order names.
    pub server_key: PublicKey,
    /// Whether this peer is served the text protocol: only then it may debit open accounts by its rules.
    pub text: bool,
}

/// One session's side of the conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    rules: SecureRules,
    limits: Arc<SessionLimits>,
    key: PublicKey,
    peer_ip: IpAddr,
    /// The version of the protocol that the client speaks.
    version: u16,
    /// What this session has asked for lately.
    paces: Paces,
    /// The account of the key.
    account: Option<Own>,
    /// The log-in that is in force, if none has replaced it.
    login: Option<u64>,
    /// How often this session has asked to be logged in.
    attempts: u64,
    /// The last of its log-ins that another session has ended.
    replaced: u64,
    under_way: Load,
    few_payments: FewPayments,
    /// A call is under way that is done alone.
    alone: bool,
    /// An order has come by this session that its payer had not signed.
    suspect: bool,
}

/// The account of the session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) account: AccountId,
    pub(super) name: Username,
}

/// A call without an answer yet, and what it counts for. It is taken back with its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) correlation: Correlation,
    load: Load,
}

/// A request, and how many bytes it took.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) request: Request,
    pub(super) bytes: usize,
}

/// Calls that are asked together.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Those that need nobody to be answered.
    pub(super) refused: Vec<(Ticket, Problem)>,
    /// How many bytes those took.
    pub(super) refused_bytes: usize,
    /// For the ledger.
    pub(super) plain: Round,
    /// For the verifier first.
    pub(super) signed: SignedRound,
}

/// What became of a request that was to be taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is in the turn.
    Turn,
    /// It is to be done alone; then [`Conversation::answered_alone`].
    Alone(Ticket, Alone),
    /// It must wait until others are answered.
    Later(Box<Arrived>),
}

/// A call that is done alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Alone {
    Register(NewUsername),
    LogIn(Option<P2pPort>),
    ChangeKey(Box<SignedKeyChange>),
    LogOut,
}

impl Turn {
    pub(super) const fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.plain.is_empty() && self.signed.is_empty()
    }

    fn payments(&self) -> usize {
        let pays = |command: &&Command| matches!(command, Command::TextTransfer { .. });
        self.plain.commands.iter().filter(pays).count() + self.signed.submitted()
    }
}

impl Conversation {
    pub(super) fn new(
        rules: SecureRules,
        limits: Arc<SessionLimits>,
        key: PublicKey,
        peer_ip: IpAddr,
    ) -> Self {
        Self {
            rules,
            limits,
            key,
            peer_ip,
            version: PROTOCOL_VERSION_MIN,
            paces: Paces::default(),
            account: None,
            login: None,
            attempts: 0,
            replaced: 0,
            under_way: Load::default(),
            few_payments: FewPayments::default(),
            alone: false,
            suspect: false,
        }
    }

    /// The client speaks this version.
    pub(super) const fn speak(&mut self, version: u16) {
        self.version = version;
    }

    /// The first frame to a client whose hello is as it should be. `holder` has the client's key.
    pub(super) fn welcome(
        &mut self,
        holder: Option<KeyHolder>,
        now: Timestamp,
    ) -> Result<Welcome, Problem> {
        let account = holder.map(|holder| self.adopt(holder)).transpose()?;
        let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        let limits = Limits {
            frame_bytes_max: size(self.limits.bytes.frame),
            calls_under_way_max: size(self.limits.calls_max),
            orders_per_call_max: size(orders_per_call_max(self.limits.bytes.frame)),
            page_items_max: PAGE_ITEMS_MAX,
            order_validity_ms_max: ORDER_VALIDITY_MS_MAX,
        };
        Ok(Welcome { magic: magic::SERVER, version: self.version, now, limits, account })
    }

    /// Takes the account of the session's key for this session's own.
    ///
    /// # Errors
    /// [`Problem::KeyRetired`] if the key is the account's no more.
    pub(super) fn adopt(&mut self, holder: KeyHolder) -> Result<OwnAccount, Problem> {
        let KeyHolder { account, name, balance, current } = holder;
        if !current {
            return Err(Problem::KeyRetired);
        }
        self.account = Some(Own { account, name: name.clone() });
        Ok(OwnAccount { account, name, balance })
    }

    pub(super) const fn key(&self) -> PublicKey {
        self.key
    }

    pub(super) const fn own(&self) -> Option<&Own> {
        self.account.as_ref()
    }

    /// Whether every call is answered.
    pub(super) const fn is_idle(&self) -> bool {
        self.under_way.calls == 0
    }

    /// Whether orders of this session are to be checked apart from those of others.
    pub(super) const fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(super) const fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Takes a request into the turn, unless it must wait or be done alone. `bytes_waiting` are for the peer,
    /// which has not taken them yet.
    pub(super) fn take(
        &mut self,
        arrived: Arrived,
        bytes_waiting: usize,
        now: Instant,
        turn: &mut Turn,
    ) -> Taken {
        let (call, bytes) = (&arrived.request.call, arrived.bytes);
        let measured = Load::of(call, bytes, orders_per_call_max(self.limits.bytes.frame));
        let load = measured.unwrap_or(Load::of_refused(bytes));
        let with_it = self.under_way.and(load);
        if self.alone
            || !with_it.is_within(&self.limits, bytes_waiting)
            || (is_done_alone(call) && !self.is_idle())
        {
            return Taken::Later(Box::new(arrived));
        }
        let Request { correlation, call } = arrived.request;
        self.under_way = with_it;
        let ticket = Ticket { correlation, load };
        let paced = Paced::of(&call);
        let plan = measured.ok_or(Problem::TooMany).and_then(|_| self.plan(call));
        match plan.and_then(|plan| self.pace(paced, now).map(|()| plan)) {
            Ok(Plan::Round(planned, commands)) => {
                turn.plain.add(self.key, ticket, planned, commands);
            }
            Ok(Plan::Signed(call, orders)) => turn.signed.add(ticket, call, orders),
            Ok(Plan::Alone(alone)) => {
                self.alone = true;
                return Taken::Alone(ticket, alone);
            }
            Err(problem) => {
                turn.refused.push((ticket, problem));
                turn.refused_bytes += bytes;
            }
        }
        Taken::Turn
    }

    /// Has others share the server with this session if it waits for few payments, again and again.
    pub(super) fn note_payments(&mut self, turn: &Turn, now: Instant) {
        let alone = self.under_way.calls == 1;
        self.limits.sharing.note(&mut self.few_payments, turn.payments(), alone, now);
    }

    /// Counts a call that may be made only so often.
    fn pace(&mut self, paced: Option<Paced>, now: Instant) -> Result<(), Problem> {
        let Some(paced) = paced else { return Ok(()) };
        self.paces.take(paced, &self.limits, self.peer_ip, now)
    }

    /// The call has its answer.
    pub(super) fn answered(&mut self, ticket: &Ticket) {
        self.under_way = self.under_way.without(ticket.load);
    }

    /// The call that is done alone has its answer.
    pub(super) fn answered_alone(&mut self, ticket: &Ticket) {
        self.alone = false;
        self.answered(ticket);
    }

    fn plan(&self, call: Call) -> Result<Plan, Problem> {
        let ask = |follow_up| Ok(Plan::Round(Planned::Ask(follow_up), Vec::new()));
        match call {
            Call::Register { name } => self.plan_registration(name),
            // The account may have been opened by another connection with this key.
            Call::LogIn { port } => Ok(Plan::Alone(Alone::LogIn(port))),
            Call::LogOut => Ok(Plan::Alone(Alone::LogOut)),
            Call::ChangeKey { change } => self.plan_key_change(change),
            Call::KeepOrder { order } => self.plan_keeping(order),
            Call::ListOnline { after, limit } => {
                self.need_login()?;
                ask(FollowUp::Online(ReadOnline { after, limit: page(limit) }))
            }
            Call::FindAccount { name } => {
                self.need_login()?;
                let command = Command::FindAccount(name.clone());
                Ok(Plan::Round(Planned::Account(name), vec![command]))
            }
            Call::Watch { names } => {
                self.need_login()?;
                ask(FollowUp::Watch(names))
            }
            Call::ReadBalance => {
                let account = self.need_account()?.account;
                Ok(Plan::Round(Planned::Balance, vec![Command::ReadBalance(account)]))
            }
            Call::OrderStatus { orders } => {
                self.need_account()?;
                let (statuses, commands) = Statuses::ask(orders);
                Ok(Plan::Round(Planned::Statuses(statuses), commands))
            }
            Call::SubmitOrders { orders } => {
                self.need_account()?;
                Ok(Plan::Signed(SignedCall::Submit(orders.len()), orders))
            }
            Call::SubmitText { payment } => {
                let sender = self.need_account()?.account;
                // A key costs nothing: it must not open what the text protocol keeps closed.
                if !self.rules.text {
                    return Err(Problem::TextNotServed);
                }
                let command = Command::TextTransfer { sender, payment: payment.clone() };
                Ok(Plan::Round(Planned::Text(payment), vec![command]))
            }
            Call::ReadHistory { before, limit } => {
                let account = self.need_account()?.account;
                ask(FollowUp::History(ReadHistory { account, before, limit: page(limit) }))
            }
            Call::ReadReceipts { entries } => {
                let account = self.need_account()?.account;
                let sought = entries.into_iter().map(Sought::Entry).collect();
                ask(FollowUp::Receipts(FindReceipts { account, sought }))
            }
            Call::ReadOpenOrders => {
                let account = self.need_account()?.account;
                ask(FollowUp::OpenOrders(ReadOpenOrders { account, now: Timestamp::default() }))
            }
        }
    }

    fn plan_registration(&self, name: Username) -> Result<Plan, Problem> {
        if self.account.is_some() {
            return Err(Problem::AlreadyRegistered);
        }
        let name = NewUsername::try_from(name).map_err(|_| Problem::NameNotAllowed)?;
        Ok(Plan::Alone(Alone::Register(name)))
    }

    fn plan_key_change(&self, signed: SignedKeyChange) -> Result<Plan, Problem> {
        let (own, change) = (self.need_account()?, &signed.change);
        let fits = change.server == self.rules.server_key
            && change.account == own.name
            && change.old == self.key
            && change.new != self.key;
        let alone = || Plan::Alone(Alone::ChangeKey(Box::new(signed)));
        fits.then(alone).ok_or(Problem::KeyChangeMismatch)
    }

    fn plan_keeping(&self, signed: SignedOrder) -> Result<Plan, Problem> {
        let (own, order) = (self.need_account()?, &signed.order);
        let fits = order.payer_key == self.key
            && order.payer == own.name
            && order.server == self.rules.server_key;
        let keep = || Plan::Signed(SignedCall::Keep, vec![signed]);
        // Signed by somebody else, it is none that this account has signed.
        fits.then(keep).ok_or(Problem::InvalidSignature)
    }

    fn need_account(&self) -> Result<&Own, Problem> {
        self.account.as_ref().ok_or(Problem::NoAccount)
    }

    fn need_login(&self) -> Result<(), Problem> {
        self.need_account()?;
        self.is_logged_in().then_some(()).ok_or(Problem::NotLoggedIn)
    }

    /// Whether this session's account is online by this session.
    pub(super) fn is_logged_in(&self) -> bool {
        self.login.is_some_and(|attempt| attempt > self.replaced)
    }

    /// Another session has taken the account of this log-in, which may still be under way. Whether
    /// it was in force.
    pub(super) fn replaced(&mut self, attempt: u64) -> bool {
        let was_logged_in = self.is_logged_in();
        self.replaced = self.replaced.max(attempt);
        was_logged_in && !self.is_logged_in()
    }

    /// The number of the log-in that begins.
    pub(super) const fn begin_log_in(&mut self) -> u64 {
        self.attempts += 1;
        self.attempts
    }

    /// The log-in is in force, unless another session has ended it meanwhile.
    pub(super) fn logged_in(&mut self) -> bool {
        self.login = Some(self.attempts);
        self.is_logged_in()
    }

    pub(super) const fn logged_out(&mut self) {
        self.login = None;
    }

    /// Where peers reach this client.
    pub(super) const fn address(&self, port: P2pPort) -> SocketAddr {
        SocketAddr::new(self.peer_ip, port.get())
    }

    /// What opens an account, and finds it.
    pub(super) fn register(&self, name: NewUsername) -> Vec<Command> {
        let access = Access::Keyed(self.key);
        let opening = Command::OpenAccount { name, access, grant: self.rules.opening_balance };
        vec![opening, Command::FindKey(self.key)]
    }

    /// What changes the key; the account must be there.
    pub(super) fn change_key(&self, change: VerifiedKeyChange) -> Option<Vec<Command>> {
        let account = self.account.as_ref()?.account;
        let change = Box::new(change);
        Some(vec![Command::FindKey(self.key), Command::ChangeKey { account, change }])
    }
}

/// How a call is done.
enum Plan {
    /// By the ledger first, with these commands.
    Round(Planned, Vec<Command>),
    /// By the verifier first, with these orders.
    Signed(SignedCall, Vec<SignedOrder>),
    Alone(Alone),
}

const fn is_done_alone(call: &Call) -> bool {
    matches!(
        call,
        Call::Register { .. } | Call::LogIn { .. } | Call::ChangeKey { .. } | Call::LogOut
    )
}
