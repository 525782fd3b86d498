//! Payments handed from payer to payee over their own connection.
//!
//! The payer sends `<payer>#<amount>#<payee>`, without an end, and some payers a line of greeting
//! before it. The payee takes one payment and nothing else: what it sends to the server later is
//! what was parsed here, never a stranger's bytes.

use crate::text::framing::REQUEST_BYTES_MAX;
use crate::text::request::TextPayment;

/// Reads the one payment that a peer hands over.
///
/// ```
/// use wire::text::peer::PaymentReader;
///
/// let mut reader = PaymentReader::default();
/// assert_eq!(reader.feed(b"alice is trying to transfer $10 to you\nalice#10#bob")?, None);
/// let payment = reader.quiet()?.expect("the payment is whole");
/// assert_eq!(payment.to_string(), "alice#10#bob");
/// # Ok::<(), wire::text::peer::NotAPayment>(())
/// ```
#[derive(Debug, Default)]
pub struct PaymentReader {
    buffer: Vec<u8>,
    greeted: bool,
}

/// What the peer sends is not a payment. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not send a payment")]
pub struct NotAPayment;

impl PaymentReader {
    /// Takes what has arrived.
    ///
    /// # Errors
    /// [`NotAPayment`] on the second line that is none, and on an endless one.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<TextPayment>, NotAPayment> {
        self.buffer.extend_from_slice(bytes);
        while let Some(end) = memchr::memchr2(b'\n', 0, &self.buffer) {
            // However it arrives: one that comes bit by bit is refused below.
            if end > REQUEST_BYTES_MAX {
                return Err(NotAPayment);
            }
            let line: Vec<u8> = self.buffer.drain(..=end).take(end).collect();
            if let Some(payment) = self.judge(&line)? {
                return Ok(Some(payment));
            }
        }
        if self.buffer.len() > REQUEST_BYTES_MAX { Err(NotAPayment) } else { Ok(None) }
    }

    /// Whether a quiet time would complete something.
    pub fn awaits_quiet(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Nothing has come for the quiet time, or nothing will: what has begun is whole.
    ///
    /// # Errors
    /// [`NotAPayment`], as for [`PaymentReader::feed`].
    pub fn quiet(&mut self) -> Result<Option<TextPayment>, NotAPayment> {
        let line = std::mem::take(&mut self.buffer);
        self.judge(&line)
    }

    fn judge(&mut self, line: &[u8]) -> Result<Option<TextPayment>, NotAPayment> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(None);
        }
        let payment = str::from_utf8(line).ok().and_then(|line| TextPayment::parse(line).ok());
        match payment {
            None if self.greeted => Err(NotAPayment),
            None => {
                self.greeted = true;
                Ok(None)
            }
            payment => Ok(payment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the segments, with a quiet time where one is empty.
    fn read(segments: &[&[u8]]) -> Result<Option<String>, NotAPayment> {
        let mut reader = PaymentReader::default();
        for segment in segments {
            let payment =
                if segment.is_empty() { reader.quiet()? } else { reader.feed(segment)? };
            if let Some(payment) = payment {
                return Ok(Some(payment.to_string()));
            }
        }
        Ok(None)
    }

    #[test]
    fn payers_of_the_family() {
        let payment = Ok(Some("alice#10#bob".to_owned()));
        let endless = [[b'a'; REQUEST_BYTES_MAX + 1].as_slice(), b"\nalice#10#bob\n"].concat();
        let garbage = b"alice#10#bob\0\0\0\x90\xca\x8b\xa1".as_slice();
        for (segments, expected) in [
            (vec![b"alice#10#bob".as_slice(), b""], payment.clone()),
            (vec![b"alice#10#bob"], Ok(None)),
            (vec![b"alice#10#bob\n"], payment.clone()),
            (vec![b"alice#10#bob\r\n"], payment.clone()),
            (vec![garbage], payment.clone()),
            (vec![b"alice#1", b"0#bob", b""], payment.clone()),
            (vec![b"alice pays you\n", b"alice#10#bob", b""], payment.clone()),
            (vec![b"alice pays you\nalice#10#bob\n"], payment.clone()),
            (vec![b"alice pays you", b"", b"alice#10#bob", b""], payment.clone()),
            (vec![b"alice#10#bob\nExit\nREGISTER#x\n"], payment),
            // what a stranger may try
            (vec![b"Exit", b""], Ok(None)),
            (vec![b"REGISTER#x\n"], Ok(None)),
            (vec![b"Exit\n", b"REGISTER#x\n"], Err(NotAPayment)),
            (vec![b"List", b"", b"mallory#7001", b""], Err(NotAPayment)),
            (vec![b"alice#-10#bob\nalice#0#bob\n"], Err(NotAPayment)),
            (vec![b"alice#1#bob#x\na#b\n"], Err(NotAPayment)),
            (vec![b"\xff\xfe\xfd\n\xff\n"], Err(NotAPayment)),
            (vec![&[b'a'; REQUEST_BYTES_MAX + 1]], Err(NotAPayment)),
            (vec![&endless], Err(NotAPayment)),
            (vec![&endless[..REQUEST_BYTES_MAX], &endless[REQUEST_BYTES_MAX..]], Err(NotAPayment)),
            (vec![&endless[1..], b""], Ok(Some("alice#10#bob".to_owned()))),
        ] {
            assert_eq!(read(&segments), expected, "{segments:?}");
        }
    }
}
