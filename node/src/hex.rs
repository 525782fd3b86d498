//! Bytes as lower-case hexadecimal digits, in the files that keep secrets and for people.

use zeroize::Zeroizing;

/// Two digits for each byte of what is no secret: nobody wipes the text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends two digits for each byte.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
}

/// The bytes, if the text has two lower-case digits for each of them and nothing else.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let digits = text.as_bytes();
    let mut bytes = Zeroizing::new([0; N]);
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

fn digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).expect("four bits are one hexadecimal digit")
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_text() {
        let mut text = String::new();
        push_hex(&mut text, &[0x00, 0x9a, 0xff]);
        assert_eq!(text, "009aff");
        assert_eq!(hex(&[0x00, 0x9a, 0xff]), text);
        assert_eq!(from_hex("009aff").as_deref(), Some(&[0x00, 0x9a, 0xff]));
        for text in ["", "009af", "009aff0", "009aff00", "009aFF", "009ag0", "+09aff", "0ü9aff"] {
            assert_eq!(from_hex::<3>(text), None, "{text:?}");
        }
    }
}
