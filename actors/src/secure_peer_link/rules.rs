//! What a peer may say. Cheap checks only: signatures and amounts are the wallet's.

use wire::order::{MEMO_BYTES_MAX, NO_MEMO};
use wire::{Memo, Order, PublicKey};

/// The longest reason that one peer gives another, in bytes of UTF-8: some lines.
const REASON_BYTES_MAX: usize = 512;

/// Why an order is not offered to the wallet. It was not submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOffered {
    /// Somebody hands over what another has signed.
    #[error("this link's key is not the payer's")]
    NotThePayer,
    /// See [`MemoProblem`].
    #[error(transparent)]
    Memo(#[from] MemoProblem),
}

/// What is wrong with a memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MemoProblem {
    /// It has more than [`MEMO_BYTES_MAX`] bytes.
    #[error("the memo is longer than {MEMO_BYTES_MAX} bytes")]
    TooLong,
    /// A terminal that shows it would do something else.
    #[error("the memo holds characters that do not show as they are")]
    Invisible,
    /// It is not the one that the payer has signed for.
    #[error("the memo does not fit the order")]
    Mismatch,
}

/// Whether the wallet is to see an order that came from whoever has the key `from`.
pub(super) fn check_offer(
    from: PublicKey,
    order: &Order,
    memo: Option<&Memo>,
) -> Result<(), NotOffered> {
    if order.payer_key != from {
        return Err(NotOffered::NotThePayer);
    }
    Ok(check_memo(order, memo)?)
}

/// Whether this is the memo of this order, and one that can be shown.
pub(super) fn check_memo(order: &Order, memo: Option<&Memo>) -> Result<(), MemoProblem> {
    if let Some(memo) = memo {
        if memo.text.len() > MEMO_BYTES_MAX {
            return Err(MemoProblem::TooLong);
        }
        if !memo.text.chars().all(is_visible) {
            return Err(MemoProblem::Invisible);
        }
    }
    if memo.map_or(NO_MEMO, Memo::hash) == order.memo_hash {
        Ok(())
    } else {
        Err(MemoProblem::Mismatch)
    }
}

/// A reason that a peer gives, fit to be sent and shown: nothing in it moves a cursor or turns a line round,
/// and it has at most [`REASON_BYTES_MAX`] bytes.
pub(super) fn plain_reason(text: &str) -> String {
    let shown = text.chars().map(|char| if is_visible(char) { char } else { ' ' });
    let mut plain = String::new();
    for char in shown {
        if plain.len() + char.len_utf8() > REASON_BYTES_MAX {
            break;
        }
        plain.push(char);
    }
    plain
}

/// Whether a character shows as itself: no control, no line break, none that turns the direction of its
/// neighbours (Unicode Bidirectional Algorithm, table 4) or that hides.
fn is_visible(char: char) -> bool {
    let hides = matches!(
        char,
        '\u{61C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    );
    !char.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_as_it_is_is_taken_out_of_a_reason() {
        assert_eq!(plain_reason("closed\u{1b}[2J\n\u{202E}lunch é 👩‍🍳"), "closed [2J  lunch é 👩‍🍳");
        assert_eq!(plain_reason(&"é".repeat(1000)), "é".repeat(REASON_BYTES_MAX / 2));
    }
}
