//! From a stream's bytes to frames, without the stream.

use serde::de::DeserializeOwned;

use super::frame::{self, FRAME_BYTES_MAX, FrameError, LENGTH_BYTES};

/// An empty reader keeps as much memory; more was for a large frame, and is given back.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// Cuts bytes into frames.
///
/// It holds the frame that has begun, and grows with what has arrived, never with what a length claims.
/// Whoever asks for frames until there is no whole one left, before more is fed, keeps it to one frame
/// and one read.
///
/// ```
/// use wire::secure::hello::magic;
/// use wire::secure::{FrameReader, Hello, frame};
///
/// let mut bytes = Vec::new();
/// frame::encode(&Hello::new(magic::CLIENT), &mut bytes);
/// let (first, rest) = bytes.split_at(7);
///
/// let mut reader = FrameReader::new();
/// reader.extend(first);
/// assert_eq!(reader.next_frame::<Hello>()?, None);
/// reader.extend(rest);
/// assert_eq!(reader.next_frame()?, Some(Hello::new(magic::CLIENT)));
/// assert!(reader.is_empty());
/// # Ok::<(), wire::secure::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
    content_bytes_max: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader of frames of up to [`FRAME_BYTES_MAX`].
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), at: 0, content_bytes_max: FRAME_BYTES_MAX }
    }

    /// From the next frame on, longer ones than this are [`FrameError::TooLong`]; so are those of more than
    /// [`FRAME_BYTES_MAX`].
    pub const fn set_limit(&mut self, content_bytes_max: usize) {
        self.content_bytes_max = content_bytes_max;
    }

    /// More has arrived.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame's value; `None` if it has not arrived whole.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the length shows it. Nothing behind it can be read.
    pub fn next_frame<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(frame) = self.whole_frame()? else {
            self.give_back();
            return Ok(None);
        };
        let value = frame::decode(&self.bytes[self.at + LENGTH_BYTES..self.at + frame])?;
        self.at += frame;
        Ok(Some(value))
    }

    /// How many bytes have arrived that are in no frame yet that was taken.
    pub const fn unread(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether no frame has begun.
    pub const fn is_empty(&self) -> bool {
        self.unread() == 0
    }

    /// How many bytes the next frame takes, with its length, if it is there.
    fn whole_frame(&self) -> Result<Option<usize>, FrameError> {
        let rest = &self.bytes[self.at..];
        let Some(frame) = frame::frame_len(rest)? else { return Ok(None) };
        let content = frame - LENGTH_BYTES;
        if content > self.content_bytes_max {
            return Err(FrameError::TooLong(u32::try_from(content).unwrap_or(u32::MAX)));
        }
        Ok((rest.len() >= frame).then_some(frame))
    }

    fn give_back(&mut self) {
        if self.is_empty() {
            self.bytes.clear();
            self.at = 0;
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::{Call, Correlation, Request};

    fn request(number: u64) -> Request {
        Request { correlation: Correlation(number), call: Call::ReadBalance }
    }

    fn frames(count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        (0..count).for_each(|number| frame::encode(&request(number), &mut bytes));
        bytes
    }

    fn all(reader: &mut FrameReader) -> Vec<Request> {
        std::iter::from_fn(|| reader.next_frame().expect("frames")).collect()
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let bytes = frames(5);
        let expected: Vec<_> = (0..5).map(request).collect();
        for size in 1..=bytes.len() {
            let mut reader = FrameReader::new();
            let mut found = Vec::new();
            for chunk in bytes.chunks(size) {
                reader.extend(chunk);
                found.extend(all(&mut reader));
            }
            assert_eq!(found, expected, "{size}");
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_at_once_and_takes_no_memory() {
        let mut reader = FrameReader::new();
        reader.extend(&u32::MAX.to_le_bytes());
        assert!(matches!(reader.next_frame::<Request>(), Err(FrameError::TooLong(u32::MAX))));

        let longest = u32::try_from(FRAME_BYTES_MAX).expect("a length").to_le_bytes();
        let mut reader = FrameReader::new();
        reader.extend(&longest);
        assert_eq!(reader.next_frame::<Request>().expect("not yet"), None);
        assert!(reader.bytes.capacity() < 64, "{}", reader.bytes.capacity());
        assert!(!reader.is_empty());
    }

    #[test]
    fn a_limit_holds_to_the_byte() {
        let bytes = frames(1);
        let content = bytes.len() - LENGTH_BYTES;
        for (limit, taken) in [(content, true), (content - 1, false)] {
            let mut reader = FrameReader::new();
            reader.set_limit(limit);
            reader.extend(&bytes);
            assert_eq!(reader.next_frame::<Request>().is_ok(), taken, "{limit}");
        }
    }

    #[test]
    fn the_memory_of_a_large_frame_is_given_back() {
        let mut bytes = Vec::new();
        frame::encode(&vec![7_u8; 1 << 20], &mut bytes);
        let mut reader = FrameReader::new();
        reader.extend(&bytes);
        assert!(reader.next_frame::<Vec<u8>>().expect("a frame").is_some());
        assert_eq!(reader.next_frame::<Vec<u8>>().expect("nothing"), None);
        assert!(reader.bytes.capacity() <= KEPT_BYTES_MAX);
    }
}
