//! Where a request ends.
//!
//! Programs of the family end a request with nothing, with LF, with CRLF, with one NUL, or with a
//! buffer of fixed size whose first NUL ends the request and whose rest is zeros or stale garbage.
//! A segment boundary or a full read buffer is never the end of a request.

use crate::username::USERNAME_CHARS_MAX;

/// The longest request, in bytes without its end. The longest valid one (two names of 32 characters
/// of 4 bytes, an amount of 20 digits and two `#`) takes [`REQUEST_BYTES_MIN`]; the rest is room for a
/// clear answer to clumsy programs.
pub const REQUEST_BYTES_MAX: usize = 1024;

/// The longest valid request: a server that takes shorter ones alone refuses payments.
pub const REQUEST_BYTES_MIN: usize = 2 * 4 * USERNAME_CHARS_MAX + 20 + 2;

/// Cuts a stream of bytes into requests. Holds no more than one unfinished request.
///
/// Whoever reads the connection calls [`Framer::feed`] with what has arrived, [`Framer::quiet`] when
/// [`Framer::awaits_quiet`] says so and nothing more has come for the quiet time, and [`Framer::end`]
/// at the end of the stream.
///
/// ```
/// use wire::text::Framer;
///
/// let mut framer = Framer::default();
/// let mut requests = Vec::new();
/// framer.feed(b"Li", |request| requests.push(request.to_owned()))?;
/// framer.feed(b"st\nEx", |request| requests.push(request.to_owned()))?;
/// assert_eq!(requests, ["List"]);
/// # Ok::<(), wire::text::Violation>(())
/// ```
#[derive(Debug)]
pub struct Framer {
    request_bytes_max: usize,
    mode: Mode,
    /// The request that has begun, or in [`Mode::Discarding`] the one that is whole.
    partial: Vec<u8>,
    /// How much was thrown away behind the NUL.
    discarded: usize,
}

/// What may follow a NUL until nothing more comes: the largest buffers of the family have 2,000 bytes.
const DISCARDED_BYTES_MAX: usize = 16 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Nothing is known of the other program: LF, NUL or a quiet time ends a request.
    #[default]
    Undecided,
    /// A NUL has ended the request; what still arrives with it is thrown away.
    Discarding,
    /// The other program ends its requests with LF or CRLF: nothing else ends one any more.
    Lines,
}

/// Bytes that are no text protocol: one error reply, then the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A request is longer than it may be, or what follows its NUL is.
    #[error("a request is longer than allowed")]
    TooLong,
    /// A request is not UTF-8.
    #[error("a request is not UTF-8")]
    NotUtf8,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(REQUEST_BYTES_MAX)
    }
}

impl Framer {
    /// Takes requests of up to so many bytes, and of no more than [`REQUEST_BYTES_MAX`].
    pub fn new(request_bytes_max: usize) -> Self {
        Self {
            request_bytes_max: request_bytes_max.min(REQUEST_BYTES_MAX),
            mode: Mode::default(),
            partial: Vec::new(),
            discarded: 0,
        }
    }

    /// Takes `bytes` and calls `each` with every request that is complete, without its end.
    ///
    /// # Errors
    /// [`Violation`]; the requests before it have been handed over, and the framer is of no more use.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(&str)) -> Result<(), Violation> {
        while !bytes.is_empty() {
            let end = match self.mode {
                Mode::Discarding => {
                    self.discarded += bytes.len();
                    return match self.discarded {
                        0..=DISCARDED_BYTES_MAX => Ok(()),
                        _ => Err(Violation::TooLong),
                    };
                }
                Mode::Lines => memchr::memchr(b'\n', bytes),
                Mode::Undecided => memchr::memchr2(b'\n', 0, bytes),
            };
            let Some(end) = end else {
                self.partial.extend_from_slice(bytes);
                // The CR of a CRLF may have arrived before its LF.
                let request = without_cr(&self.partial);
                return if request.len() <= self.request_bytes_max {
                    Ok(())
                } else {
                    Err(Violation::TooLong)
                };
            };
            let (request, rest) = (&bytes[..end], &bytes[end + 1..]);
            if bytes[end] == b'\n' {
                self.mode = Mode::Lines;
                if self.partial.is_empty() {
                    each(self.text(without_cr(request))?);
                } else {
                    self.partial.extend_from_slice(request);
                    each(self.text(without_cr(&self.partial))?);
                    self.partial.clear();
                }
            } else {
                self.mode = Mode::Discarding;
                self.partial.extend_from_slice(request);
                self.text(&self.partial)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Whether a quiet time would end a request.
    pub fn awaits_quiet(&self) -> bool {
        match self.mode {
            Mode::Undecided => !self.partial.is_empty(),
            Mode::Discarding => true,
            Mode::Lines => false,
        }
    }

    /// Nothing has come for the quiet time: the request that has begun, if any, is whole.
    ///
    /// # Errors
    /// [`Violation`], as for [`Framer::feed`].
    pub fn quiet(&mut self, each: impl FnOnce(&str)) -> Result<(), Violation> {
        if self.awaits_quiet() {
            self.mode = Mode::Undecided;
            self.discarded = 0;
            each(self.text(&self.partial)?);
            self.partial.clear();
        }
        Ok(())
    }

    /// The stream has ended. What a program that ends its requests with line ends left unfinished
    /// is dropped: half a payment is no payment.
    ///
    /// # Errors
    /// [`Violation`], as for [`Framer::feed`].
    pub fn end(&mut self, each: impl FnOnce(&str)) -> Result<(), Violation> {
        self.quiet(each)
    }

    fn text<'r>(&self, request: &'r [u8]) -> Result<&'r str, Violation> {
        if request.len() > self.request_bytes_max {
            return Err(Violation::TooLong);
        }
        str::from_utf8(request).map_err(|_| Violation::NotUtf8)
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::TextRequest;

    /// Feeds the segments one by one, with a quiet time where a segment is empty.
    fn frame(segments: &[&[u8]]) -> Result<Vec<String>, Violation> {
        let mut framer = Framer::default();
        let mut requests = Vec::new();
        for segment in segments {
            if segment.is_empty() {
                framer.quiet(|request| requests.push(request.to_owned()))?;
            } else {
                framer.feed(segment, |request| requests.push(request.to_owned()))?;
            }
        }
        Ok(requests)
    }

    #[test]
    fn every_end_of_the_family() {
        let long = [b"List\0".as_slice(), &[b'x'; 2000]].concat();
        for (segments, expected) in [
            (vec![b"List".as_slice(), b""], vec!["List"]),
            (vec![b"List"], vec![]),
            (vec![b"List\n"], vec!["List"]),
            (vec![b"List\r\n"], vec!["List"]),
            (vec![b"List\r", b"\n"], vec!["List"]),
            (vec![b"List\0", b""], vec!["List"]),
            (vec![b"List\0"], vec![]),
            (vec![b"List\0#5001\0ice", b""], vec!["List"]),
            (vec![b"List\0Exit\nExit\0", b"Exit\n", b"", b"Exit", b""], vec!["List", "Exit"]),
            (vec![&long, b""], vec!["List"]),
            (vec![b"Li", b"st", b""], vec!["List"]),
            (vec![b"Li", b"st\nEx", b"it\r\n"], vec!["List", "Exit"]),
            (vec![b"List", b"", b"Exit\n"], vec!["List", "Exit"]),
            (vec![b"a\nb\r\nc\nd"], vec!["a", "b", "c"]),
            (vec![b"a\nb", b"", b"c\n"], vec!["a", "bc"]),
            (vec![b"a\nb\0c\n"], vec!["a", "b\0c"]),
            (vec![b"\n\r\n\n"], vec!["", "", ""]),
            (vec![b"\0", b""], vec![""]),
            (vec![b"", b""], vec![]),
        ] {
            assert_eq!(
                frame(&segments),
                Ok(expected.iter().map(ToString::to_string).collect()),
                "{segments:?}"
            );
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_an_unterminated_request_but_not_a_torn_line() {
        let mut framer = Framer::default();
        framer.feed(b"Exit", |_| unreachable!("not ended yet")).expect("text");
        let mut last = None;
        framer.end(|request| last = Some(request.to_owned())).expect("text");
        assert_eq!(last.as_deref(), Some("Exit"));

        let mut framer = Framer::default();
        framer.feed(b"List\nalice#10", |request| assert_eq!(request, "List")).expect("text");
        framer.end(|torn| panic!("a torn line became a request: {torn}")).expect("text");
    }

    #[test]
    fn too_long_and_not_text_are_violations() {
        let longest = [b'a'; REQUEST_BYTES_MAX];
        let too_long = [b'a'; REQUEST_BYTES_MAX + 1];
        let expected = Ok(vec![String::from_utf8(longest.to_vec()).expect("ascii")]);
        assert_eq!(frame(&[&longest, b"\n"]), expected);
        assert_eq!(frame(&[&longest, b"\r", b"\n"]), expected);
        assert_eq!(frame(&[&longest, b""]), expected);
        for segments in [
            vec![too_long.as_slice()],
            vec![&longest, b"a"],
            vec![&longest, b"\ra"],
            vec![&too_long, b"\n"],
        ] {
            assert_eq!(frame(&segments), Err(Violation::TooLong));
        }
        let endless = vec![0; DISCARDED_BYTES_MAX + 2];
        assert_eq!(frame(&[b"List", &endless, b""]), Err(Violation::TooLong));
        assert_eq!(frame(&[b"List", &endless[1..], b""]), Ok(vec!["List".to_owned()]));
        for end in [b"\n".as_slice(), b"\0", b""] {
            assert_eq!(frame(&[b"\xff\xfe", end]), Err(Violation::NotUtf8), "{end:?}");
        }
    }

    #[test]
    fn a_lower_limit_holds_to_the_byte_and_lets_the_longest_valid_request_through() {
        let name = "\u{1041f}".repeat(USERNAME_CHARS_MAX);
        let longest = format!("{name}#{}#{name}\n", u64::MAX);
        assert_eq!(longest.len(), REQUEST_BYTES_MIN + 1);
        let mut framer = Framer::new(REQUEST_BYTES_MIN);
        let mut requests = Vec::new();
        let fed = framer.feed(longest.as_bytes(), |text| requests.push(TextRequest::parse(text)));
        assert!(fed.is_ok() && matches!(&requests[..], [Ok(TextRequest::Pay(_))]), "{requests:?}");
        let too_long = format!("x{longest}");
        assert_eq!(framer.feed(too_long.as_bytes(), |_| ()), Err(Violation::TooLong));
        // No sooner than it is seen, and no later.
        let mut framer = Framer::new(REQUEST_BYTES_MIN);
        framer.feed(&longest.as_bytes()[..REQUEST_BYTES_MIN], |_| ()).expect("not yet");
        assert_eq!(framer.feed(b"x", |_| ()), Err(Violation::TooLong));
        let mut framer = Framer::new(usize::MAX);
        assert_eq!(framer.feed(&[b'x'; REQUEST_BYTES_MAX + 1], |_| ()), Err(Violation::TooLong));
    }

    proptest! {
        /// Whatever the segments, the same bytes give the same requests.
        #[test]
        fn tearing_changes_nothing(
            lines in prop::collection::vec("[a-zA-Z0-9#ü-]{0,40}", 1..20),
            crlf in any::<bool>(),
            cuts in prop::collection::vec(1usize..30, 0..40),
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let bytes = lines.iter().flat_map(|line| [line.as_str(), end]).collect::<String>();
            let mut rest = bytes.as_bytes();
            let mut segments = Vec::new();
            for cut in cuts {
                let (segment, tail) = rest.split_at(cut.min(rest.len()));
                if !segment.is_empty() {
                    segments.push(segment);
                }
                rest = tail;
            }
            if !rest.is_empty() {
                segments.push(rest);
            }
            prop_assert_eq!(frame(&segments), Ok(lines));
        }

        #[test]
        fn any_bytes_never_panic_and_never_pile_up(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut framer = Framer::default();
            let _ = framer.feed(&bytes, |request| assert!(request.len() <= REQUEST_BYTES_MAX));
            let _ = framer.quiet(|request| assert!(request.len() <= REQUEST_BYTES_MAX));
        }
    }
}
