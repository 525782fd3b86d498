//! Receipts: the server's signed proof of what became of an order.

use serde::{Deserialize, Serialize};

use crate::batch::{BATCH_HEADER_BYTES, BatchHeader, Hash};
use crate::order::{SignedOrder, VerifiedOrder};
use crate::signature::InvalidSignature;
use crate::{
    Authority, BatchNumber, Entry, EntryNumber, PublicKey, Refusal, Timestamp, codec, merkle,
};

mod headers;
mod text;

pub use headers::VerifiedHeaders;
pub use text::{RECEIPT_TEXT_BYTES_MAX, ReceiptTextError};

/// The most bytes that an encoded receipt takes: a header, an entry with an order in it (640), a path of
/// 16 hashes, lengths; rounded up.
pub const RECEIPT_BYTES_MAX: usize = 2048;

/// One entry of the ledger, its place in its batch, and the batch's signed header. Anybody can check
/// it offline with the server's key alone. What it says is not known to be true: [`Receipt::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The batch's header as it is written.
    header: HeaderBytes,
    /// The entry's place in the batch, from 0.
    index: u32,
    /// From the entry to the batch's Merkle root.
    #[serde(with = "codec::byte_array::hashes")]
    path: Vec<Hash>,
    /// The entry.
    entry: Entry,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct HeaderBytes(#[serde(with = "codec::byte_array")] [u8; BATCH_HEADER_BYTES]);

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven<'a> {
    /// The batch.
    pub batch: BatchNumber,
    /// What the batch behind it chains to.
    pub head: Hash,
    /// When the batch was written, by the server's clock.
    pub time: Timestamp,
    /// The entry's number in the whole ledger.
    pub number: EntryNumber,
    /// The entry.
    pub entry: &'a Entry,
}

/// What became of an order. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The credits have moved.
    Settled,
    /// They have not, and never will by this order.
    Refused(Refusal),
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The header in it cannot be read.
    #[error("the batch's header in the receipt cannot be read")]
    Header,
    /// The server with the given key has not signed the header.
    #[error("the batch's header is not signed by this server's key")]
    NotSigned,
    /// The entry is not in the batch at this place.
    #[error("the entry is not in the batch that the server signed")]
    NotInBatch,
    /// The entry holds an order that its payer has not signed.
    #[error("the order in the receipt is not signed by its payer")]
    Order,
    /// The entry holds an order for another server, or moves another amount than it says.
    #[error("the entry in the receipt does not do what the order in it says")]
    Mismatch,
    /// The entry holds a key change that not both keys have signed.
    #[error("the key change in the receipt is not signed by both keys")]
    KeyChange,
}

impl Receipt {
    /// The receipt for the entry at `index` of the batch with this header.
    pub fn new(header: &BatchHeader, index: u32, path: Vec<Hash>, entry: Entry) -> Self {
        Self { header: HeaderBytes(header.encode()), index, path, entry }
    }

    /// Checks everything: the server's signature, the entry's place, and, if there is an order or a key
    /// change in it, the signatures under that and that the entry does what they say. Which accounts
    /// have the names in it is the server's word.
    ///
    /// # Errors
    /// [`ReceiptError`]; then nothing in it is to be believed.
    pub fn verify(&self, server: &PublicKey) -> Result<Proven<'_>, ReceiptError> {
        let header = BatchHeader::decode(&self.header.0).map_err(|_| ReceiptError::Header)?;
        header.verify(server).map_err(|InvalidSignature| ReceiptError::NotSigned)?;
        let proven = self.prove(&header, server)?;
        if let Some(signed) = self.order() {
            signed.clone().verify().map_err(|InvalidSignature| ReceiptError::Order)?;
        }
        Ok(proven)
    }

    /// The same verdict about a receipt for exactly `order`, by the server that it names, for whoever has
    /// verified the order: its signature is not checked again, nor that of a header in `headers`.
    ///
    /// # Errors
    /// [`ReceiptError`]; then nothing in it is to be believed. [`ReceiptError::Mismatch`] also if it is about
    /// another order.
    pub fn verify_for(
        &self,
        order: &VerifiedOrder,
        headers: &mut VerifiedHeaders,
    ) -> Result<Proven<'_>, ReceiptError> {
        if self.order() != Some(order.signed()) {
            return Err(ReceiptError::Mismatch);
        }
        let server = &order.order().server;
        let header = BatchHeader::decode(&self.header.0).map_err(|_| ReceiptError::Header)?;
        headers.verify(server, &self.header.0, &header)?;
        self.prove(&header, server)
    }

    /// What it proves if the server has signed the header, and the payer the order, if there is one.
    fn prove(&self, header: &BatchHeader, server: &PublicKey) -> Result<Proven<'_>, ReceiptError> {
        let seal = header.seal.as_ref().ok_or(ReceiptError::NotSigned)?;
        let mut entry = Vec::new();
        codec::encode_into(&self.entry, &mut entry);
        let root =
            merkle::root_of(merkle::leaf(&entry), self.index, header.entry_count, &self.path);
        if root != Some(seal.merkle_root) {
            return Err(ReceiptError::NotInBatch);
        }
        self.check_signed(server)?;
        Ok(Proven {
            batch: header.batch,
            head: header.head(),
            time: header.time,
            number: EntryNumber::new(header.first_entry.get() + u64::from(self.index)),
            entry: &self.entry,
        })
    }

    /// Checks that the entry does what account holders have signed: the server's word does not stand for
    /// theirs.
    fn check_signed(&self, server: &PublicKey) -> Result<(), ReceiptError> {
        if let Some(signed) = self.order() {
            let amount_fits = match &self.entry {
                Entry::Transferred { amount, .. } => *amount == signed.order.amount,
                _ => true,
            };
            if signed.order.server != *server || !amount_fits {
                return Err(ReceiptError::Mismatch);
            }
        }
        if let Entry::KeyChanged { change, .. } = &self.entry {
            let verified = change.as_ref().clone().verify();
            verified.map_err(|InvalidSignature| ReceiptError::KeyChange)?;
        }
        Ok(())
    }

    /// The entry that it is about.
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The order that it is about, if it is about one.
    pub fn order(&self) -> Option<&SignedOrder> {
        match &self.entry {
            Entry::Transferred { authority: Authority::Order(order), .. }
            | Entry::OrderRefused { order, .. } => Some(order),
            _ => None,
        }
    }

    /// What became of the order, or of the payment by the text protocol's rules; `None` if it is about
    /// no payment.
    pub const fn verdict(&self) -> Option<Verdict> {
        match &self.entry {
            Entry::Transferred { .. } => Some(Verdict::Settled),
            Entry::OrderRefused { refusal, .. } => Some(Verdict::Refused(*refusal)),
            Entry::AccountOpened { .. }
            | Entry::KeyChanged { .. }
            | Entry::Deposited { .. }
            | Entry::Withdrawn { .. }
            | Entry::Frozen { .. }
            | Entry::Unfrozen { .. }
            | Entry::TimePassed => None,
        }
    }
}

#[cfg(test)]
mod tests;
