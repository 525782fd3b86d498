//! What waits in the ledger: requests, their outcomes, who waits for them, and what all that takes.

use wire::{Entry, EntryNumber, VerifiedKeyChange, VerifiedOrder};

use super::journal::SealedBatch;
use super::state::{Command, Outcome};
use crate::later::ReplySlot;
use crate::messages::{LedgerUnavailable, Settlement};

/// The most commands that are taken in one [`Submit`](crate::messages::Submit) or
/// [`SubmitForReceipts`](crate::messages::SubmitForReceipts).
pub const SUBMIT_COMMANDS_MAX: usize = 1 << 15;

/// How many of them may be orders and key changes. A session has 512 of them in a message.
pub const SUBMIT_SIGNED_MAX: usize = 4096;

/// The largest entry of an order or a key change: two names of 32 characters of 4 bytes, three keys, a
/// hash, a signature and numbers are 531 bytes.
pub(super) const SIGNED_ENTRY_BYTES_MAX: usize = 640;

/// The largest entry of any other command: an opening with a name of 32 characters of 4 bytes and a key.
pub(super) const PLAIN_ENTRY_BYTES_MAX: usize = 192;

/// What the largest message that is taken adds to a batch at most.
pub(super) const SUBMIT_ENTRY_BYTES_MAX: usize = SUBMIT_SIGNED_MAX * SIGNED_ENTRY_BYTES_MAX
    + (SUBMIT_COMMANDS_MAX - SUBMIT_SIGNED_MAX) * PLAIN_ENTRY_BYTES_MAX;

/// The memory that all that waits for the disk may take: that of 262,144 text payments, which is what
/// gathers in a quarter of a second at a million a second, or of 65,536 orders, which is three seconds
/// of checking their signatures on a core.
pub(super) const WAITING_BYTES_MAX: usize = 128 << 20;

/// What a command that nobody wants a receipt for takes: itself or its outcome, and two names of 128
/// bytes on the heap; rounded up.
pub(super) const PLAIN_COMMAND_BYTES: usize = 512;

/// What an order takes, or a command that a receipt is wanted for: what was signed with two names of 128
/// bytes, the entry, the outcome, and the receipt with a path of 16 hashes; rounded up.
pub(super) const RECEIPT_COMMAND_BYTES: usize = 2048;

const _: () = {
    let in_place = size_of::<Command>() + size_of::<Outcome>();
    assert!(in_place + 2 * 128 <= PLAIN_COMMAND_BYTES);
    let signed = size_of::<VerifiedOrder>() + size_of::<VerifiedKeyChange>() + 2 * 128;
    let receipt = size_of::<wire::Receipt>() + size_of::<Settlement>() + 16 * 32;
    assert!(in_place + signed + size_of::<Made>() + receipt <= RECEIPT_COMMAND_BYTES);
};

/// What somebody asks, and where the answer goes.
pub(super) struct Request {
    pub(super) commands: Vec<Command>,
    pub(super) reply: Reply,
    pub(super) load: Load,
}

/// Where the answer to a request goes.
pub(super) enum Reply {
    /// To whoever wants to know what became of each command.
    Outcomes(ReplySlot<Result<Vec<Outcome>, LedgerUnavailable>>),
    /// To whoever wants the proofs, too.
    Settlements(ReplySlot<Result<Vec<Settlement>, LedgerUnavailable>>),
}

/// How much a request takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// How many commands there are.
    pub(super) commands: usize,
    /// How many of them are signed.
    signed: usize,
    /// Whether any asks for a change.
    pub(super) asks_for_change: bool,
    /// What it takes while it waits, in bytes, at most.
    pub(super) waiting_bytes: usize,
}

/// Outcomes that are decided, and who waits for them.
pub(super) struct Waiting {
    pub(super) outcomes: Vec<Outcome>,
    /// What receipts are wanted for, in order.
    pub(super) made: Vec<Made>,
    pub(super) reply: Reply,
    pub(super) load: Load,
}

/// An entry that a command has made.
pub(super) struct Made {
    /// Which command of the request.
    pub(super) command: usize,
    pub(super) number: EntryNumber,
    pub(super) entry: Entry,
}

impl Request {
    pub(super) fn new(commands: Vec<Command>, reply: Reply) -> Self {
        let load = Load::of(&commands, reply.wants_receipts());
        Self { commands, reply, load }
    }
}

impl Reply {
    pub(super) const fn wants_receipts(&self) -> bool {
        matches!(self, Self::Settlements(_))
    }

    /// Says that nothing was done.
    pub(super) fn refuse(self, why: LedgerUnavailable) {
        match self {
            Self::Outcomes(slot) => slot.send(Err(why)),
            Self::Settlements(slot) => slot.send(Err(why)),
        }
    }
}

impl Load {
    fn of(commands: &[Command], receipts: bool) -> Self {
        let is_signed = |command: &&Command| {
            matches!(command, Command::Order { .. } | Command::ChangeKey { .. })
        };
        let (count, signed) = (commands.len(), commands.iter().filter(is_signed).count());
        let heavy = if receipts { count } else { signed };
        // Both sums are bounded by the memory that the commands take already.
        let waiting_bytes = heavy * RECEIPT_COMMAND_BYTES + (count - heavy) * PLAIN_COMMAND_BYTES;
        let asks_for_change = commands.iter().any(Command::asks_for_change);
        Self { commands: count, signed, asks_for_change, waiting_bytes }
    }

    /// Whether it is more than one message may ask.
    pub(super) const fn is_too_large(&self) -> bool {
        self.commands > SUBMIT_COMMANDS_MAX || self.signed > SUBMIT_SIGNED_MAX
    }

    /// What its entries take at most.
    pub(super) const fn entry_bytes(&self) -> usize {
        let plain = self.commands - self.signed;
        self.signed * SIGNED_ENTRY_BYTES_MAX + plain * PLAIN_ENTRY_BYTES_MAX
    }
}

impl Waiting {
    /// Tells the outcomes. What changed anything is in the batch that is given.
    pub(super) fn release(self, sealed: Option<&SealedBatch>) {
        let Self { outcomes, made, reply, .. } = self;
        match reply {
            Reply::Outcomes(slot) => slot.send(Ok(outcomes)),
            Reply::Settlements(slot) => slot.send(Ok(settlements(outcomes, made, sealed))),
        }
    }
}

fn settlements(
    outcomes: Vec<Outcome>,
    made: Vec<Made>,
    sealed: Option<&SealedBatch>,
) -> Vec<Settlement> {
    let settlements = outcomes.into_iter().map(|outcome| Settlement { outcome, receipt: None });
    let mut settlements: Vec<_> = settlements.collect();
    for Made { command, number, entry } in made {
        let receipt = sealed.and_then(|sealed| sealed.receipt(number, entry));
        settlements[command].receipt = receipt.map(Box::new);
    }
    settlements
}
