//! Crashes at any operation, with any of the unsynced sectors kept: what was answered is there.

use proptest::prelude::*;

use super::super::Snapshot;
use super::super::faulty::{Fault, Faulty};
use super::*;

/// What the caller knows when everything stops.
struct Run {
    /// The state up to the last batch that was reported durable.
    answered: State,
    /// The same and the batch that was under way.
    under_way: State,
}

/// Opens the journal and commits until the storage fails. The batches name their accounts so that no
/// two runs open the same ones.
fn run_until_failure(storage: &Faulty, segment_bytes: u64, run: usize, answered: State) -> Run {
    let mut known = Run { under_way: answered.clone(), answered };
    let Ok((mut journal, mut state)) = open(storage, segment_bytes) else { return known };
    for batch in 0..8 {
        let sizes = [1u64, 20, 3, 40, 2, 9, 5, 60];
        let mut commands: Vec<_> =
            (1..sizes[batch]).map(|n| transfer("a0-0-x", ("a0-1-x", 1), n % 3)).collect();
        commands.push(opening(&format!("a{run}-{batch}-x"), 1000));
        let committed = commit(&mut journal, &mut state, commands);
        known.under_way = state.clone();
        let Ok(committed) = committed else { return known };
        known.answered = state.clone();
        if batch % 3 == 2
            && Snapshot::capture(&state, &TERMS.server).store(storage, &committed).is_err()
        {
            return known;
        }
    }
    known
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_answered_survives(
        segment_bytes in prop_oneof![Just(1u64), 500..3000u64, Just(1 << 16)],
        fail_at in prop::collection::vec((1..45usize, any::<bool>(), 0..3u8), 1..5),
        seed in any::<u64>(),
    ) {
        let storage = MemoryStorage::new();
        let mut state = State::default();
        let mut random = seed | 1;
        for (run, (at, done, power)) in fail_at.into_iter().enumerate() {
            let fault = if done { Fault::Done } else { Fault::Nothing };
            let faulty = Faulty::new(storage.clone(), fault, at);
            let known = run_until_failure(&faulty, segment_bytes, run, state);
            // The process dies and the system lives on, or the power goes, with all, some or none of
            // the unsynced sectors written.
            if power > 0 {
                storage.crash(|_, _| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    power == 2 && random >> 40 & 1 == 1
                });
            }
            let opened = open(&storage, segment_bytes);
            prop_assert!(opened.is_ok(), "run {run}: {}", opened.err().expect("not ok"));
            let rebuilt = opened.expect("it is").1;
            prop_assert!(
                rebuilt == known.answered || rebuilt == known.under_way,
                "run {run}: {} entries, of which {} were answered",
                rebuilt.next_entry(), known.answered.next_entry()
            );
            state = rebuilt;
        }
    }
}
