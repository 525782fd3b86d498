//! Limits of what one session may have, in ranges in which those who do nothing wrong are served.

use actors::limits::{ByteLimits, INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, OUTPUT_BYTES_MIN};
use wire::secure::call::ORDERS_PER_CALL_MAX;
use wire::secure::{REQUEST_BYTES_MAX, REQUEST_BYTES_MIN};
use wire::text::framing;

use crate::cli::Flags;
use crate::error::Error;

/// As many as two of the longest calls ask for, and as a wallet has payments open: it asks about all of them when
/// it connects again. Each may stand in a batch that the archive must read, in a tenth of a millisecond if it is a short
/// one.
const RECEIPTS_PER_SECOND_DEFAULT: u32 = 1024;

/// How much of the server's memory a session may take up.
pub(super) fn in_bytes(flags: &Flags) -> Result<ByteLimits, Error> {
    let within = |flag: &str, given: Option<usize>, least: usize, most: usize| match given {
        None => Ok(most),
        Some(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        Some(bytes) => Err(Error::Usage {
            message: format!("--{flag} {bytes} is out of its range"),
            hint: format!("it is {least} to {most}"),
        }),
    };
    let (least, most) = (framing::REQUEST_BYTES_MIN, framing::REQUEST_BYTES_MAX);
    let line = within("line-bytes-max", flags.line_bytes_max, least, most)?;
    let given = flags.frame_bytes_max;
    let frame = within("frame-bytes-max", given, REQUEST_BYTES_MIN, REQUEST_BYTES_MAX)?;
    let given = flags.input_bytes_per_session_max;
    let input = within("input-bytes-per-session-max", given, frame, INPUT_BYTES_MAX)?;
    let (flag, given) = ("output-bytes-per-session-max", flags.output_bytes_per_session_max);
    let output = within(flag, given, OUTPUT_BYTES_MIN, OUTPUT_BYTES_MAX)?;
    Ok(ByteLimits { line, frame, input, output })
}

/// How many receipts a session may ask for in a second; 0 is no limit.
pub(super) fn receipts_per_second(flags: &Flags) -> Result<u32, Error> {
    let count = flags.receipts_per_second_max.unwrap_or(RECEIPTS_PER_SECOND_DEFAULT);
    let is_call = usize::try_from(count).is_ok_and(|count| count >= ORDERS_PER_CALL_MAX);
    if count > 0 && !is_call {
        return Err(Error::Usage {
            message: format!("--receipts-per-second-max {count} is less than one call may ask for"),
            hint: format!("it is {ORDERS_PER_CALL_MAX} at least, or 0 for no limit"),
        });
    }
    Ok(count)
}
