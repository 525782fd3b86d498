//! The audit of a whole journal: does it hold what its rules, its server's key and its payers' keys
//! allow, and nothing else?
//!
//! Nothing is taken on trust: snapshots are not read, every signature is checked, and everything
//! that the ledger decided is decided again. Nothing is written, so that the journal of a running
//! server can be audited.

mod error;
mod signatures;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wire::order::ORDER_VALIDITY_MS_MAX;
use wire::receipt::Proven;
use wire::signature::Domain;
use wire::{
    Authority, BatchNumber, Entry, EntryNumber, Order, PublicKey, Receipt, Signature,
    SignedKeyChange, SignedOrder, Timestamp,
};

pub use self::error::{AuditError, Fault, ReceiptFault};
pub(crate) use self::signatures::{Place, Signatures};
use super::journal::{
    BatchCursor, BatchPosition, Committed, JournalPlace, OpenError, Storage, StoredBatch, Walked,
};
use super::state::State;

/// How often a place is looked at before it counts as damaged: a running server may be writing
/// there.
const LOOKS_MAX: u32 = 3;

/// How long to wait before looking again: far longer than a write takes to be seen whole.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What an audit that found no fault has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The last batch, and the head that the next one will chain to.
    pub last: Committed,
    /// When the first batch was written; `None` if there is none.
    pub began: Option<Timestamp>,
    /// How many batches are not signed: those of before the server signed any. The first one that
    /// is signed vouches for them, since it chains to them.
    pub unsealed: u64,
    /// How many accounts there are.
    pub accounts: usize,
    /// How many credits the treasury has issued: what all accounts hold together.
    pub supply: i128,
    /// How many orders were settled or refused, each signed by its payer.
    pub orders: u64,
    /// How many payments were made on the text protocol's word alone.
    pub text_payments: u64,
    /// How many keys were changed, each with the signatures of both.
    pub key_changes: u64,
    /// What the operator did to accounts, on its word alone.
    pub operations: Operations,
    /// Where something stands behind the last batch that was not finished, or is being written.
    /// Nobody was told of it; it is no fault.
    pub unfinished: Option<BatchPosition>,
}

/// How often the operator did something to an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// How many deposits there were.
    pub deposits: u64,
    /// How many withdrawals.
    pub withdrawals: u64,
    /// How often an account was frozen.
    pub freezes: u64,
    /// How many are frozen now.
    pub frozen: u64,
}

/// Audits the journal in `storage` from its first batch on: that it is the work of the server with
/// this key, that everybody who was debited has signed for it, that every rule was kept, and that
/// it holds what the receipts say. Calls `progress` after each batch.
///
/// What is appended meanwhile is audited as well.
///
/// # Errors
/// [`AuditError`]: the first fault.
pub fn audit(
    storage: Arc<dyn Storage>,
    server: PublicKey,
    receipts: &[Receipt],
    mut progress: impl FnMut(&JournalPlace),
) -> Result<Audited, AuditError> {
    let mut auditor = Auditor::new(server, receipts)?;
    let mut cursor = BatchCursor::new(storage, JournalPlace::BEGIN);
    let walked = auditor.walk(&mut cursor, &mut progress);
    // The signatures that wait stand in front of whatever else was found.
    auditor.signatures.check()?;
    auditor.finish(cursor.place().last, walked?)
}

/// What is known of the journal up to a batch.
struct Auditor<'r> {
    server: PublicKey,
    state: State,
    signatures: Signatures,
    /// What the receipts say that were not met yet, with their places in the list.
    receipts: BTreeMap<BatchNumber, Vec<(usize, Proven<'r>)>>,
    began: Option<Timestamp>,
    unsealed: u64,
    orders: u64,
    text_payments: u64,
    key_changes: u64,
    operations: Operations,
}

impl<'r> Auditor<'r> {
    fn new(server: PublicKey, receipts: &'r [Receipt]) -> Result<Self, AuditError> {
        let mut by_batch = BTreeMap::<_, Vec<_>>::new();
        for (index, receipt) in receipts.iter().enumerate() {
            let proven = receipt
                .verify(&server)
                .map_err(|error| AuditError::Receipt { index, fault: error.into() })?;
            by_batch.entry(proven.batch).or_default().push((index, proven));
        }
        Ok(Self {
            server,
            state: State::default(),
            signatures: Signatures::default(),
            receipts: by_batch,
            began: None,
            unsealed: 0,
            orders: 0,
            text_payments: 0,
            key_changes: 0,
            operations: Operations::default(),
        })
    }

    /// Takes all batches. Returns where something unfinished stands behind them.
    fn walk(
        &mut self,
        cursor: &mut BatchCursor,
        progress: &mut impl FnMut(&JournalPlace),
    ) -> Result<Option<BatchPosition>, AuditError> {
        // The journal ends somewhere: a server writes more slowly than this reads.
        loop {
            match next(cursor)? {
                Walked::Batch(batch) => self.take(&batch)?,
                Walked::End => return Ok(None),
                Walked::Unfinished(position) => return Ok(Some(position)),
            }
            progress(cursor.place());
        }
    }

    fn take(&mut self, batch: &StoredBatch) -> Result<(), AuditError> {
        let header = &batch.header;
        let place = Place { position: batch.position, batch: header.batch, entry: None };
        match &header.seal {
            None => self.unsealed += 1,
            Some(seal) => {
                let signed = header.signed_bytes(&seal.merkle_root);
                let item = seal.signature.batch_item(&self.server, Domain::Batch, &signed);
                self.signatures.add(place, Fault::ServerSignature, item)?;
            }
        }
        self.meet_receipts(batch)?;
        for (number, entry) in (header.first_entry.get()..).zip(&batch.entries) {
            let place = Place { entry: Some(EntryNumber::new(number)), ..place };
            self.queue_signatures(place, entry)?;
            self.check_entry(entry, header.time).map_err(|fault| place.error(fault))?;
        }
        // Whatever is decided behind this batch is decided later: the rules refuse an order that is
        // over by now, which is forgotten here and could otherwise be settled again.
        self.state.forget_expired_orders(header.time);
        self.began.get_or_insert(header.time);
        Ok(())
    }

    /// A batch with the same head is the same to the last byte of its last entry: the head holds
    /// the Merkle root.
    fn meet_receipts(&mut self, batch: &StoredBatch) -> Result<(), AuditError> {
        let head = batch.header.head();
        for (index, proven) in self.receipts.remove(&batch.header.batch).unwrap_or_default() {
            if proven.head != head || batch.entry(proven.number) != Some(proven.entry) {
                let (file, offset) = (batch.position.file(), batch.position.offset);
                let fault = ReceiptFault::OtherBatch { file, offset, batch: proven.batch };
                return Err(AuditError::Receipt { index, fault });
            }
        }
        Ok(())
    }

    fn queue_signatures(&mut self, place: Place, entry: &Entry) -> Result<(), AuditError> {
        let mut add = |fault, by: &PublicKey, signature: &Signature, domain, bytes: &[u8]| {
            self.signatures.add(place, fault, signature.batch_item(by, domain, bytes))
        };
        match entry {
            Entry::Transferred { authority: Authority::Order(signed), .. }
            | Entry::OrderRefused { order: signed, .. } => {
                let SignedOrder { order, signature } = &**signed;
                let bytes = order.to_bytes();
                add(Fault::PayerSignature, &order.payer_key, signature, Domain::Order, &bytes)
            }
            Entry::KeyChanged { change: signed, .. } => {
                let SignedKeyChange { change, by_old, by_new } = &**signed;
                let bytes = change.to_bytes();
                add(Fault::OldKeySignature, &change.old, by_old, Domain::KeyChange, &bytes)?;
                add(Fault::NewKeySignature, &change.new, by_new, Domain::KeyChange, &bytes)
            }
            Entry::AccountOpened { .. }
            | Entry::Transferred { authority: Authority::Text, .. }
            | Entry::Deposited { .. }
            | Entry::Withdrawn { .. }
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. }
            | Entry::TimePassed => Ok(()),
        }
    }

    /// Everything about the next entry but its signatures.
    fn check_entry(&mut self, entry: &Entry, time: Timestamp) -> Result<(), Fault> {
        match entry {
            Entry::AccountOpened { .. } | Entry::Unfrozen { .. } | Entry::TimePassed => {}
            Entry::Transferred { authority: Authority::Text, .. } => self.text_payments += 1,
            Entry::Transferred { authority: Authority::Order(signed), .. }
            | Entry::OrderRefused { order: signed, .. } => {
                self.orders += 1;
                self.check_order(&signed.order, time)?;
            }
            Entry::KeyChanged { change, .. } => {
                self.key_changes += 1;
                self.check_server(change.change.server)?;
            }
            Entry::Deposited { .. } => self.operations.deposits += 1,
            Entry::Withdrawn { .. } => self.operations.withdrawals += 1,
            Entry::Frozen { .. } => self.operations.freezes += 1,
        }
        Ok(self.state.replay(entry)?)
    }

    /// What the server looks at before it decides an order and the ledger's rules do not know: its
    /// own key, and a clock. It decides before it writes the batch.
    fn check_order(&self, order: &Order, time: Timestamp) -> Result<(), Fault> {
        self.check_server(order.server)?;
        if order.not_after.get().saturating_sub(time.get()) > ORDER_VALIDITY_MS_MAX {
            return Err(Fault::OrderTooLong);
        }
        Ok(())
    }

    fn check_server(&self, named: PublicKey) -> Result<(), Fault> {
        if named == self.server { Ok(()) } else { Err(Fault::OtherServer(named)) }
    }

    fn finish(
        self,
        last: Committed,
        unfinished: Option<BatchPosition>,
    ) -> Result<Audited, AuditError> {
        let treasury = self.state.treasury();
        let held = self.state.accounts().iter();
        let held = held.map(|account| i128::from(account.balance.credits())).sum::<i128>();
        if held + treasury != 0 {
            return Err(AuditError::Books(held + treasury));
        }
        if self.unsealed > 0 && self.unsealed == last.batch.get() {
            return Err(AuditError::Unsealed(self.unsealed));
        }
        if let Some((&batch, waiting)) = self.receipts.first_key_value()
            && let Some(&(index, _)) = waiting.first()
        {
            let fault = ReceiptFault::Missing { batch, last: last.batch };
            return Err(AuditError::Receipt { index, fault });
        }
        Ok(Audited {
            last,
            began: self.began,
            unsealed: self.unsealed,
            accounts: self.state.accounts().len(),
            supply: held,
            orders: self.orders,
            text_payments: self.text_payments,
            key_changes: self.key_changes,
            operations: Operations { frozen: self.state.frozen().len() as u64, ..self.operations },
            unfinished,
        })
    }
}

/// The next batch, or what stands in its place. What looks damaged is looked at again: a write that
/// is under way can be seen half done.
fn next(cursor: &mut BatchCursor) -> Result<Walked, OpenError> {
    for _ in 1..LOOKS_MAX {
        match cursor.walk() {
            Err(OpenError::Damaged { .. } | OpenError::BatchesMissing { .. }) => {
                thread::sleep(LOOK_AGAIN_AFTER);
            }
            walked => return walked,
        }
    }
    cursor.walk()
}

#[cfg(test)]
mod tests;
