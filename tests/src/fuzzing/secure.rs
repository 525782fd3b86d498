//! The secure protocol: frames of clients, servers and peers.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::secure::frame::{self, LENGTH_BYTES};
use wire::secure::{
    FRAME_BYTES_MAX, FrameError, FrameReader, HELLO_BYTES_MAX, Hello, PayeeFrame, PayerFrame,
    Problem, REQUEST_BYTES_MAX, Request, ServerFrame, Welcome,
};

use super::cuts::segments;

/// The first byte says which frames are expected and whether the rest is a stream of them or what one
/// frame holds, the second how it is cut.
pub(super) fn run(input: &[u8]) {
    let [kind, seed, bytes @ ..] = input else { return };
    let check = match kind % 6 {
        0 => check::<Request>,
        1 => check::<ServerFrame>,
        2 => check::<Hello>,
        3 => check::<Result<Welcome, Problem>>,
        4 => check::<PayerFrame>,
        _ => check::<PayeeFrame>,
    };
    // One that is exceeded by some inputs, those of each side, and that of all frames.
    let limit = [HELLO_BYTES_MAX, REQUEST_BYTES_MAX, FRAME_BYTES_MAX][usize::from(*seed) % 3];
    check_frames(check, kind / 6 % 2 == 0, bytes, *seed, limit);
}

/// Checks bytes that are a stream of frames, or what one frame holds.
pub(super) fn check_frames(
    check: fn(&[u8], u8, usize),
    is_stream: bool,
    bytes: &[u8],
    seed: u8,
    limit: usize,
) {
    if is_stream {
        check(bytes, seed, limit);
    } else {
        let length = u32::try_from(bytes.len()).expect("inputs are short");
        check(&[&length.to_le_bytes(), bytes].concat(), seed, limit);
    }
}

/// Checks a stream of frames of which each holds no more than `limit`, cut as the seed says.
pub(super) fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(
    stream: &[u8],
    seed: u8,
    limit: usize,
) {
    let (values, end) = read::<T>(&[stream], limit);
    let (cut_values, cut_end) = read::<T>(&segments(stream, seed), limit);
    assert_eq!(cut_values, values);
    assert_eq!(format!("{cut_end:?}"), format!("{end:?}"));

    let mut written = Vec::new();
    for value in &values {
        frame::encode(value, &mut written);
    }
    let behind = stream.strip_prefix(written.as_slice()).expect("a value has one encoding");
    match end {
        // The frame that has begun is not whole, or does not say yet how long it will be.
        Ok(is_empty) => {
            assert_eq!(is_empty, behind.is_empty());
            let frame = frame::frame_len(behind).expect("a length within the limit");
            assert!(frame.is_none_or(|frame| behind.len() < frame));
        }
        Err(FrameError::TooLong(length)) => {
            assert_eq!(behind.first_chunk::<LENGTH_BYTES>(), Some(&length.to_le_bytes()));
            assert!(usize::try_from(length).is_ok_and(|length| length > limit));
        }
        Err(FrameError::Malformed(_)) => {
            let frame = frame::frame_len(behind).ok().flatten().expect("a whole frame");
            assert!(frame::decode::<T>(&behind[LENGTH_BYTES..frame]).is_err());
        }
    }
}

/// The values that were read, and whether nothing is left, or what was wrong.
fn read<T: DeserializeOwned>(
    segments: &[&[u8]],
    limit: usize,
) -> (Vec<T>, Result<bool, FrameError>) {
    let mut reader = FrameReader::new();
    reader.set_limit(limit);
    let mut values = Vec::new();
    for segment in segments {
        reader.extend(segment);
        loop {
            match reader.next_frame() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => return (values, Err(error)),
            }
        }
    }
    (values, Ok(reader.is_empty()))
}
