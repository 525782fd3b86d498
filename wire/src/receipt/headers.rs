//! Headers of batches whose signatures were found valid.

use std::collections::VecDeque;

use super::ReceiptError;
use crate::PublicKey;
use crate::batch::{BATCH_HEADER_BYTES, BatchHeader};
use crate::signature::InvalidSignature;

/// Headers that are remembered, 14 KiB: the receipts of one batch come together, and a server has hardly
/// more batches under way for one client than this client has orders in them.
const HEADERS_MAX: usize = 64;

/// The headers whose signatures were found valid lately. All receipts of one batch have the same one, and
/// each but the first of them costs hashes alone.
#[derive(Debug, Default)]
pub struct VerifiedHeaders {
    /// By whom, and all of its bytes, the signature too. The oldest first.
    verified: VecDeque<(PublicKey, [u8; BATCH_HEADER_BYTES])>,
}

impl VerifiedHeaders {
    /// Checks that this server has signed the header.
    pub(super) fn verify(
        &mut self,
        server: &PublicKey,
        bytes: &[u8; BATCH_HEADER_BYTES],
        header: &BatchHeader,
    ) -> Result<(), ReceiptError> {
        // The newest is the most likely.
        let mut verified = self.verified.iter().rev();
        if verified.any(|(by, known)| by == server && known == bytes) {
            return Ok(());
        }
        header.verify(server).map_err(|InvalidSignature| ReceiptError::NotSigned)?;
        if self.verified.len() >= HEADERS_MAX {
            self.verified.pop_front();
        }
        self.verified.push_back((*server, *bytes));
        Ok(())
    }
}
