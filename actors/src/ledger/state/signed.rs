//! What is done by signature: orders and key changes.

use wire::key_change::KEY_CHANGE_VERSION;
use wire::order::{ORDER_VALIDITY_MS_MAX, ORDER_VERSION};
use wire::secure::OrderProblem;
use wire::{
    Access, AccountId, Authority, Entry, Order, OrderHash, Refusal, SignedKeyChange, SignedOrder,
    Timestamp, VerifiedKeyChange, VerifiedOrder,
};

use super::orders::DecidedOrder;
use super::{Outcome, ReplayError, State, Terms};

impl State {
    /// Decides an order. What is wrong with the order itself or with who submits it is a problem, which
    /// leaves no trace; what the ledger has against it is a refusal, which is written down, so that
    /// the order can never be settled by trying again.
    pub(super) fn decide_order(
        &self,
        submitter: AccountId,
        verified: VerifiedOrder,
        terms: &Terms,
    ) -> Result<Entry, Outcome> {
        let order = verified.order();
        check_form(order, terms).map_err(Outcome::NotTaken)?;
        let payer = self.payer_of(submitter, &verified, terms)?;
        // Not below what is forgotten, which may have been decided.
        let now = terms.now.max(self.orders.since());
        match check_validity(order, now) {
            // Nobody is told before it is on the disk how late it is: by an earlier clock, behind a crash, the
            // order could be settled.
            Err(OrderProblem::Expired) if order.not_after >= terms.shown => {
                return Ok(Entry::TimePassed);
            }
            checked => checked.map_err(Outcome::NotTaken)?,
        }
        if !self.orders.has_room(payer) {
            return Err(Outcome::NotTaken(OrderProblem::Busy));
        }
        let (amount, payee) = (order.amount, self.creditor_of(payer, order));
        let order = Box::new(verified.into_signed());
        Ok(match payee {
            Ok(payee) => {
                Entry::Transferred { payer, payee, amount, authority: Authority::Order(order) }
            }
            Err(refusal) => Entry::OrderRefused { payer, order, refusal },
        })
    }

    /// The payer of an order that is not decided yet and whose payer has signed it.
    fn payer_of(
        &self,
        submitter: AccountId,
        verified: &VerifiedOrder,
        terms: &Terms,
    ) -> Result<AccountId, Outcome> {
        let order = verified.order();
        let refuse = |problem| Err(Outcome::NotTaken(problem));
        let submitter = self.account(submitter).map(|account| &account.name);
        if submitter != Some(&order.payer) && submitter != Some(&order.payee) {
            return refuse(OrderProblem::NotParty);
        }
        let Some(payer) = self.find(order.payer.as_str()) else {
            return refuse(OrderProblem::UnknownPayer);
        };
        match self.orders.find_valid(payer, order.id, terms.now) {
            Some(recent) if recent.hash == *verified.hash() => {
                return Err(Outcome::DecidedBefore(recent.decided));
            }
            Some(_) => return refuse(OrderProblem::Conflict),
            None => {}
        }
        if self.existing(payer).access != Access::Keyed(order.payer_key) {
            return refuse(OrderProblem::PayerKeyMismatch);
        }
        Ok(payer)
    }

    /// Whom an order of this payer pays, or what the ledger has against it.
    pub(super) fn creditor_of(
        &self,
        payer: AccountId,
        order: &Order,
    ) -> Result<AccountId, Refusal> {
        let payee = self.find(order.payee.as_str()).ok_or(Refusal::UnknownPayee)?;
        let access = order.payee_key.map_or(Access::Open, Access::Keyed);
        if self.existing(payee).access != access {
            return Err(Refusal::PayeeKeyChanged);
        }
        if self.is_frozen(payer) {
            return Err(Refusal::AccountFrozen);
        }
        if self.existing(payer).balance < order.amount {
            return Err(Refusal::InsufficientBalance);
        }
        Ok(payee)
    }

    pub(super) fn decide_key_change(
        &self,
        account: AccountId,
        verified: VerifiedKeyChange,
        terms: &Terms,
    ) -> Result<Entry, Outcome> {
        let change = verified.change();
        if change.server != terms.server {
            return Err(Outcome::Refused(Refusal::NoPermission));
        }
        if self.find_key(&change.new).is_some() {
            return Err(Outcome::Refused(Refusal::KeyInUse));
        }
        if self.check_key_change(account, verified.signed()).is_err() {
            return Err(Outcome::Refused(Refusal::NoPermission));
        }
        if self.is_frozen(account) {
            return Err(Outcome::Refused(Refusal::AccountFrozen));
        }
        Ok(Entry::KeyChanged { account, change: Box::new(verified.into_signed()) })
    }

    /// Checks that an order is the payer's, by its current key, that it may be decided, and that it is
    /// not decided yet.
    pub(super) fn check_order(
        &self,
        payer: AccountId,
        signed: &SignedOrder,
    ) -> Result<(), ReplayError> {
        let order = &signed.order;
        let account = self.account(payer).ok_or(ReplayError::UnknownAccount(payer))?;
        let fits = account.access == Access::Keyed(order.payer_key)
            && account.name == order.payer
            && order.payee != order.payer
            && !order.amount.is_zero()
            && order.version == ORDER_VERSION
            && order.id.not_after() == order.not_after;
        if !fits {
            return Err(ReplayError::OrderMismatch(payer));
        }
        if order.not_after < self.orders.since() {
            return Err(ReplayError::OrderExpired(payer));
        }
        if self.orders.find(payer, order.id).is_some() {
            return Err(ReplayError::DecidedTwice(payer));
        }
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        payer: AccountId,
        signed: &SignedOrder,
        refusal: Refusal,
        hash: Option<OrderHash>,
    ) -> Result<(), ReplayError> {
        self.check_order(payer, signed)?;
        if self.creditor_of(payer, &signed.order) != Err(refusal) {
            return Err(ReplayError::WrongRefusal(payer));
        }
        self.remember(payer, signed, hash);
        Ok(())
    }

    /// Remembers that the entry that comes now has decided an order, with its hash if it is known.
    pub(super) fn remember(
        &mut self,
        payer: AccountId,
        SignedOrder { order, .. }: &SignedOrder,
        hash: Option<OrderHash>,
    ) {
        let (hash, decided) = (hash.unwrap_or_else(|| order.hash()), self.next_entry);
        self.orders.insert(DecidedOrder { payer, id: order.id, hash, decided });
    }

    fn check_key_change(&self, id: AccountId, signed: &SignedKeyChange) -> Result<(), ReplayError> {
        let change = &signed.change;
        let account = self.account(id).ok_or(ReplayError::UnknownAccount(id))?;
        let fits = change.version == KEY_CHANGE_VERSION
            && account.name == change.account
            && account.access == Access::Keyed(change.old)
            && self.find_key(&change.new).is_none();
        if fits { Ok(()) } else { Err(ReplayError::WrongKeyChange(id)) }
    }

    pub(super) fn change_key(
        &mut self,
        id: AccountId,
        signed: &SignedKeyChange,
    ) -> Result<(), ReplayError> {
        self.check_key_change(id, signed)?;
        if self.is_frozen(id) {
            return Err(ReplayError::Frozen(id));
        }
        let change = &signed.change;
        // The old key stays in the index: no account ever gets it again. In old journals it may be
        // another account's, too, and is that one's then.
        if self.find_key(&change.old) == Some(id) {
            self.retired_keys.push((change.old, id));
        }
        self.by_key.insert(change.new, id);
        self.existing_mut(id).access = Access::Keyed(change.new);
        Ok(())
    }
}

/// Whether an order is one for this server, by itself.
fn check_form(order: &Order, terms: &Terms) -> Result<(), OrderProblem> {
    if order.version != ORDER_VERSION {
        return Err(OrderProblem::UnknownVersion);
    }
    if order.server != terms.server {
        return Err(OrderProblem::WrongServer);
    }
    if order.payer == order.payee {
        return Err(OrderProblem::SameAccount);
    }
    if order.amount.is_zero() {
        return Err(OrderProblem::AmountNotPositive);
    }
    if order.id.not_after() != order.not_after {
        return Err(OrderProblem::IdMismatch);
    }
    Ok(())
}

/// Whether the server's clock allows an order that it has not seen before.
fn check_validity(order: &Order, now: Timestamp) -> Result<(), OrderProblem> {
    if order.not_after < now {
        return Err(OrderProblem::Expired);
    }
    if order.not_after.get() - now.get() > ORDER_VALIDITY_MS_MAX {
        return Err(OrderProblem::NotAfterTooFar);
    }
    Ok(())
}
