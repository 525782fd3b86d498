//! What happens to the files of a journal that nobody writes to.

use super::disk::SimulatedDisk;
use crate::random::Random;

/// What was done, as far as it decides what must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damaged {
    /// A bit of a segment was flipped.
    Bit,
    /// A segment that another one follows was cut short, or is gone.
    Middle,
    /// The last segment was cut short, or is gone. A power cut could have done so.
    End,
    /// A snapshot was flipped in, cut short, is gone, or is an older one.
    Snapshot,
}

/// Damages one file. `None` if there is none.
pub(super) fn damage(disk: &SimulatedDisk, random: &mut Random) -> Option<Damaged> {
    let names = disk.names();
    let (snapshots, segments): (Vec<_>, Vec<_>) = names
        .into_iter()
        .filter(|name| name.strip_suffix(".mite").is_some())
        .partition(|name| name.starts_with("snapshot-"));
    if !snapshots.is_empty() && random.below(3) == 0 {
        let name = pick(&snapshots, random)?;
        let mut bytes = disk.read(name);
        match random.below(4) {
            0 => flip(&mut bytes, random),
            1 => bytes.truncate(below(bytes.len(), random)),
            2 => bytes = disk.read(&snapshots[0]),
            _ => {
                disk.put(name, None);
                return Some(Damaged::Snapshot);
            }
        }
        disk.put(name, Some(bytes));
        return Some(Damaged::Snapshot);
    }
    let name = pick(&segments, random)?;
    let is_last = Some(name) == segments.last();
    let mut bytes = disk.read(name);
    match random.below(4) {
        0 => bytes.truncate(below(bytes.len(), random)),
        1 => {
            disk.put(name, None);
            return Some(if is_last { Damaged::End } else { Damaged::Middle });
        }
        _ => {
            flip(&mut bytes, random);
            disk.put(name, Some(bytes));
            return Some(Damaged::Bit);
        }
    }
    disk.put(name, Some(bytes));
    Some(if is_last { Damaged::End } else { Damaged::Middle })
}

fn pick<'n>(names: &'n [String], random: &mut Random) -> Option<&'n String> {
    names.get(below(names.len(), random))
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = below(bytes.len(), random);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// A number below `end`; zero if there is none.
fn below(end: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(end.max(1) as u64)).expect("below a usize")
}
