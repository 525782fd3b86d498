//! The system's errors in words for people.

use std::io;

/// What the system says of a failure, without its number and fit for the middle of a line.
pub fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // TLS has a long story to tell of it.
        return "the other side has closed it".to_owned();
    }
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = words.chars();
    match (chars.next(), chars.as_str()) {
        // The system's sentences begin with a capital, ours stand in the middle of a line.
        (Some(first), rest) if rest.starts_with(char::is_lowercase) => {
            first.to_lowercase().chain(rest.chars()).collect()
        }
        _ => words.to_owned(),
    }
}
