//! The text of the list of known keys.

use std::fmt::Write as _;

use super::{FirstSeen, KEYS_MAX, Known, LINE_BYTES_MAX, LineProblem, Seen, ServerAddress};

const FIRST_LINE: &str = "mite known keys 1";
const FIRST_LINE_OF_ANY_VERSION: &str = "mite known keys ";

/// The text of the file.
pub(super) fn write(known: &Known) -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for (address, Seen { key, since }) in known {
        writeln!(text, "server {address} {key} {since}").expect("a String takes every text");
    }
    text
}

/// What the bytes of the file say, or what is wrong in which line, from 1.
pub(super) fn parse(bytes: &[u8]) -> Result<Known, (usize, LineProblem)> {
    let mut known = Known::new();
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    first_line(lines.next().unwrap_or_default()).map_err(|problem| (1, problem))?;
    for (number, line) in (2..).zip(lines) {
        let (address, seen) = entry(line).map_err(|problem| (number, problem))?;
        if known.insert(address, seen).is_some() {
            return Err((number, LineProblem::Twice));
        }
        if known.len() > KEYS_MAX {
            return Err((number, LineProblem::TooLong));
        }
    }
    Ok(known)
}

fn first_line(line: &[u8]) -> Result<(), LineProblem> {
    let line = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(LineProblem::NotAList)?;
    match line.strip_prefix(FIRST_LINE_OF_ANY_VERSION).map(str::parse::<u64>) {
        _ if line == FIRST_LINE => Ok(()),
        Some(Ok(_)) => Err(LineProblem::UnknownVersion),
        _ => Err(LineProblem::NotAList),
    }
}

fn entry(line: &[u8]) -> Result<(ServerAddress, Seen), LineProblem> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LineProblem::TooLong);
    }
    let line = line.strip_suffix(b"\n").ok_or(LineProblem::NoEnd)?;
    let line = std::str::from_utf8(line).map_err(|_| LineProblem::Malformed)?;
    fields(line).ok_or(LineProblem::Malformed)
}

fn fields(line: &str) -> Option<(ServerAddress, Seen)> {
    let mut words = line.strip_prefix("server ")?.split(' ');
    let text = words.next()?;
    let address: ServerAddress = text.parse().ok()?;
    // Another form of the same address would not be found.
    if address.0 != text {
        return None;
    }
    let key = words.next()?.parse().ok()?;
    let time = humantime::parse_rfc3339(words.next()?).ok()?;
    words.next().is_none().then_some((address, Seen { key, since: FirstSeen::from(time) }))
}
