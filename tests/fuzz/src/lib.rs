//! What all targets have in common: their memory is bounded.

use std::alloc::System;

use cap::Cap;

/// What a target may hold at once: its input of at most 16 KiB, the directories of a ledger made of it, and
/// what readers make room for, which is the largest frame (1 MiB) a few times over, or one argon2id of no
/// more than its reader bears. Whoever asks for more gets none, which ends the process and is a finding.
const HEAP_BYTES_MAX: usize = 64 << 20;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, HEAP_BYTES_MAX);

/// Checks the property of this target.
pub fn run(target: &str, input: &[u8]) {
    tests::fuzzing::run(target, input);
}
