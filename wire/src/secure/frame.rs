//! Frames: a length, and a value that takes exactly as many bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, DecodeError};

/// The bytes of the length in front of each frame.
pub const LENGTH_BYTES: usize = 4;

/// The longest frame, without its length. The largest is an answer with
/// [`ORDERS_PER_CALL_MAX`](super::call::ORDERS_PER_CALL_MAX) receipts of
/// [`RECEIPT_BYTES_MAX`](crate::receipt::RECEIPT_BYTES_MAX): 1 MiB, and something for what stands
/// around them.
pub const FRAME_BYTES_MAX: usize = (1 << 20) + 4096;

/// Why bytes are not a frame. Whoever sent them does not speak the protocol: the connection ends.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length in front is more than [`FRAME_BYTES_MAX`].
    #[error("a frame of {0} bytes is longer than the protocol allows")]
    TooLong(u32),
    /// The bytes are no value of this kind, or more than one.
    #[error("a frame that is not what the protocol says: {0}")]
    Malformed(#[from] DecodeError),
}

/// Appends `value` as a frame to `bytes`.
///
/// # Panics
/// If it takes more than [`FRAME_BYTES_MAX`]: whoever makes a value keeps to the protocol's limits.
pub fn encode<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend([0; LENGTH_BYTES]);
    codec::encode_into(value, bytes);
    let length = bytes.len() - start - LENGTH_BYTES;
    assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
    let length = u32::try_from(length).expect("the limit of a frame fits into its length");
    bytes[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// How many bytes the first frame in `bytes` takes, with its length; `None` if its length is not whole
/// yet. A receiver asks this before it makes room for the rest.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= FRAME_BYTES_MAX => Ok(Some(LENGTH_BYTES + bytes)),
        _ => Err(FrameError::TooLong(length)),
    }
}

/// Decodes what stands behind the length of a whole frame.
///
/// # Errors
/// [`FrameError::Malformed`] if it is not one value of this type or bytes follow it.
pub fn decode<T: DeserializeOwned>(content: &[u8]) -> Result<T, FrameError> {
    Ok(codec::decode_exact::<FRAME_BYTES_MAX, T>(content)?)
}
