//! What only an operator's program is told. It is typed: a command that is done twice by what stands in
//! an environment would be one too many.

use clap::Args;
use wire::{FreezeReason, OperatorId};

/// The flags of `--role admin`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Admin")]
pub(crate) struct AdminFlags {
    /// Deposit, withdraw: what names it, such as the number of an invoice; said again, it is not done
    /// again [default: a random one, which is printed]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<OperatorId>,
    /// Freeze: why, for people; the account's holder can read it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<FreezeReason>,
}
