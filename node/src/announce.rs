//! What the roles have in common in what they say, at start and at stop.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// How often something long says how far it is: seldom enough for a log, often enough to see that it is
/// not stuck.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);

/// Writes a line for people and scripts to the standard output, at once.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever closed our standard output does not want to know.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A title, and below it names with their values in a column.
pub(crate) fn table(title: &str, lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = lines.iter().map(|(name, value)| format!("\n  {name:width$}  {value}"));
    title.to_owned() + &lines.collect::<String>()
}

/// Waits for Ctrl-C or SIGTERM, which are caught from now on.
///
/// # Errors
/// [`Error::Internal`] if the system does not hand signals over.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    let catch = |kind| signal(kind).map_err(|error| Error::Internal(error.to_string()));
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut terminate = catch(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
