//! How the accounts of a run are called. All names of a kind have one length, so all requests have.

/// How many digits number the accounts: ten million of them.
const DIGITS: usize = 7;

/// The names of one run.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    tag: String,
}

impl Names {
    /// Those of a ledger that belongs to the measurement alone.
    pub(crate) const fn own() -> Self {
        Self { tag: String::new() }
    }

    /// Those of a run on somebody's server, which may have seen another run.
    pub(crate) fn unique() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = now.map_or(0, |since| since.as_micros());
        Self { tag: format!("{micros:x}x") }
    }

    /// The account that pays with this number, from 0.
    pub(crate) fn payer(&self, number: u32) -> String {
        format!("a{}{number:0DIGITS$}", self.tag)
    }

    /// The account that is paid with this number, from 0.
    pub(crate) fn payee(&self, number: usize) -> String {
        format!("b{}{number:0DIGITS$}", self.tag)
    }
}
