//! What a line of a server says, in any wording of the family.

/// Whether a line says no, in any wording of the family. A line with `#` says who is online or who
/// pays whom, whatever their names are.
pub fn is_refusal(line: &str) -> bool {
    const WORDS: [&str; 6] = ["fail", "error", "bad_request", "please log", "invalid", "denied"];
    if line.contains('#') {
        return false;
    }
    let line = line.to_ascii_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

/// Whether a line says yes: `OK` in any case, as a word.
pub(super) fn is_consent(line: &str) -> bool {
    !line.contains('#')
        && line.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("ok"))
}

/// Digits, perhaps with a sign: what stands where a balance does.
pub(super) fn is_number(line: &str) -> bool {
    let digits = line.strip_prefix('-').unwrap_or(line);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a line says yes or no to some transfer and leaves open to which: in one dialect the payer
/// hears it of every transfer, whoever asked for it.
pub fn leaves_open_which(line: &str) -> bool {
    is_transfer_result(line) && !line.contains("due to")
}

pub(super) fn is_transfer_result(line: &str) -> bool {
    line.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("transfer")) && !line.contains('#')
}
