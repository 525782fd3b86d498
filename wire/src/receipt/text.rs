//! Receipts as text, to be kept in a file or sent by mail.
//!
//! Lines for people stand in front of the receipt itself and prove nothing: whoever reads the text
//! back takes the receipt from its base64 alone and looks at no other line.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{RECEIPT_BYTES_MAX, Receipt, Verdict};
use crate::batch::BatchHeader;
use crate::{Entry, codec};

/// The longest text of a receipt, in bytes: 2732 of base64 for the longest receipt, in 43 lines,
/// and less than 1200 in the lines for people, of which two names of 32 characters written as
/// `\u{10ffff}` take most; rounded up.
pub const RECEIPT_TEXT_BYTES_MAX: usize = 4096;

const BEGIN: &str = "-----BEGIN MITE RECEIPT-----";
const END: &str = "-----END MITE RECEIPT-----";
const VERSION: &str = "Version: ";
/// The version of the form of texts that this code writes and reads.
const TEXT_VERSION: &str = "1";
/// The characters of base64 in a line, as in RFC 7468.
const LINE_CHARS: usize = 64;

/// Why a text is no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptTextError {
    /// It is longer than [`RECEIPT_TEXT_BYTES_MAX`].
    #[error("the text is longer than {RECEIPT_TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin with the line that receipts begin with.
    #[error("the text does not begin with the line {BEGIN}")]
    NoBegin,
    /// It does not end with the line that receipts end with, or something follows that line.
    #[error("the text does not end with the line {END}")]
    NoEnd,
    /// It has another form than this code knows.
    #[error("the version of the receipt is not {TEXT_VERSION}")]
    UnknownVersion,
    /// A line before the empty one is no `Word: value`.
    #[error("line {0} is no line of a receipt's head")]
    Head(usize),
    /// The lines behind the empty one are no base64 of full lines.
    #[error("the lines of the receipt are no base64")]
    Base64,
    /// The bytes are no receipt.
    #[error("the bytes are no receipt")]
    Malformed,
}

impl Receipt {
    /// The receipt as text: [`Receipt::from_text`] reads it back.
    pub fn to_text(&self) -> String {
        let mut text = format!("{BEGIN}\n{VERSION}{TEXT_VERSION}\n");
        for (word, value) in self.for_people() {
            writeln!(text, "{word}: {value}").expect("a String takes every text");
        }
        text.push('\n');
        let mut bytes = Vec::new();
        codec::encode_into(self, &mut bytes);
        let mut rest = STANDARD.encode(bytes);
        while !rest.is_empty() {
            let behind = rest.split_off(rest.len().min(LINE_CHARS));
            text.push_str(&rest);
            text.push('\n');
            rest = behind;
        }
        text.push_str(END);
        text.push('\n');
        text
    }

    /// Reads what [`Receipt::to_text`] has written, and nothing else. What it says is not known to
    /// be true: [`Receipt::verify`].
    ///
    /// # Errors
    /// [`ReceiptTextError`], which says what does not fit.
    pub fn from_text(text: &str) -> Result<Self, ReceiptTextError> {
        if text.len() > RECEIPT_TEXT_BYTES_MAX {
            return Err(ReceiptTextError::TooLong);
        }
        let body = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_prefix('\n'));
        let body = body.ok_or(ReceiptTextError::NoBegin)?;
        let body = body.strip_suffix('\n').unwrap_or(body);
        let body = body.strip_suffix(END).ok_or(ReceiptTextError::NoEnd)?;
        let mut lines = body.split_terminator('\n');
        let version = lines.next().and_then(|line| line.strip_prefix(VERSION));
        if version != Some(TEXT_VERSION) {
            return Err(ReceiptTextError::UnknownVersion);
        }
        // The text's first two lines are read.
        for (number, line) in (3..).zip(lines.by_ref().take_while(|line| !line.is_empty())) {
            if !line.split_once(": ").is_some_and(|(word, _)| is_word(word)) {
                return Err(ReceiptTextError::Head(number));
            }
        }
        let bytes = bytes_of(lines)?;
        codec::decode_exact::<RECEIPT_BYTES_MAX, Self>(&bytes)
            .map_err(|_| ReceiptTextError::Malformed)
    }

    /// What it says, unproven.
    fn for_people(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(signed) = self.order() {
            let order = &signed.order;
            lines.push(("Payer", harmless(order.payer.as_str())));
            lines.push(("Payee", harmless(order.payee.as_str())));
            lines.push(("Amount", order.amount.to_string()));
            lines.push(("Order", order.id.to_string()));
        } else if let Entry::Transferred { payer, payee, amount, .. } = self.entry() {
            lines.push(("Payer", format!("account {payer}")));
            lines.push(("Payee", format!("account {payee}")));
            lines.push(("Amount", amount.to_string()));
        }
        lines.extend(by_operator(self.entry()));
        match self.verdict() {
            Some(Verdict::Settled) => lines.push(("Outcome", "settled".into())),
            Some(Verdict::Refused(refusal)) => {
                lines.push(("Outcome", format!("refused, {refusal}")));
            }
            None => {}
        }
        if let Ok(header) = BatchHeader::decode(&self.header.0) {
            lines.push(("Time", header.time.to_utc()));
        }
        lines
    }
}

/// What the operator did, if it is that.
fn by_operator(entry: &Entry) -> Vec<(&'static str, String)> {
    let (what, account, amount) = match entry {
        Entry::Deposited { account, amount, .. } => ("deposited", account, Some(amount)),
        Entry::Withdrawn { account, amount, .. } => ("withdrawn", account, Some(amount)),
        Entry::Frozen { account, .. } => ("frozen", account, None),
        Entry::Unfrozen { account } => ("unfrozen", account, None),
        _ => return Vec::new(),
    };
    let mut lines = vec![("Operator", what.to_owned()), ("Account", format!("account {account}"))];
    lines.extend(amount.map(|amount| ("Amount", amount.to_string())));
    lines
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Full lines and a last one that may be shorter: one receipt has one text.
fn bytes_of<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<u8>, ReceiptTextError> {
    let mut digits = String::new();
    for line in lines {
        if line.is_empty() || line.len() > LINE_CHARS || !digits.len().is_multiple_of(LINE_CHARS) {
            return Err(ReceiptTextError::Base64);
        }
        digits.push_str(line);
    }
    STANDARD.decode(digits).map_err(|_| ReceiptTextError::Base64)
}

/// The name, with everything that is no letter, digit or visible ASCII written out.
fn harmless(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || c.is_ascii_graphic() {
            text.push(c);
        } else {
            text.extend(c.escape_unicode());
        }
    }
    text
}

#[cfg(test)]
mod tests;
