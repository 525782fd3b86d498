//! A directory on a disk that fails as it is told, and as its seed says.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use actors::ledger::journal::{Storage, StorageFile};

use crate::random::Random;

/// What a disk writes wholly or not at all.
const SECTOR_BYTES: usize = 512;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The power goes in front of an operation, or behind it.
    PowerCut {
        /// Behind it; or in the middle, if it is a write.
        behind: bool,
    },
    /// A write is done in part, up to some sector or byte, and fails.
    Write,
    /// A sync writes some sectors, forgets the others, and fails. The next one succeeds.
    Sync {
        /// What was forgotten is read as it was before, and not as it was written.
        evicted: bool,
    },
    /// The directory cannot be synced. Nothing is forgotten.
    SyncDirectory,
    /// Something cannot be read, or listed.
    Read,
    /// A file cannot be made, renamed or removed. The next attempt succeeds.
    Change,
    /// From now on, there is little room.
    Full,
    /// There is no room for another file, once.
    NoFile,
}

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Write,
    Sync,
    SyncDirectory,
    Create,
    /// Rename or remove.
    Change,
}

/// The disk as whoever has started on it sees it. When the power is cut or the process killed, it is dead to
/// them.
#[derive(Clone)]
pub(super) struct SimulatedDisk {
    disk: Arc<Mutex<Disk>>,
    process: u64,
}

struct Disk {
    random: Random,
    files: Vec<Content>,
    /// As they are seen.
    names: BTreeMap<String, usize>,
    /// As they are after a power cut, if nothing of what follows gets there.
    durable_names: BTreeMap<String, usize>,
    /// What was changed since, in order. A file system writes it in order.
    renamed: Vec<BTreeMap<String, Option<usize>>>,
    /// Which process works with it.
    process: u64,
    is_off: bool,
    /// After how many more operations that it can happen to.
    fault: Option<(u64, Fault)>,
    fired: Vec<Fault>,
    /// How many bytes files may still grow by.
    room: Option<u64>,
    /// How often [`Fault::NoFile`] came when a segment was to be made.
    no_segment: u64,
    /// How many writes ended inside a sector.
    torn: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// As it is read.
    seen: Vec<u8>,
    /// As it is after a power cut, if nothing of what follows gets there.
    durable: Vec<u8>,
    /// What was written since, in order.
    written: Vec<(usize, Vec<u8>)>,
}

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        let disk = Disk {
            random: Random::new(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: Vec::new(),
            process: 0,
            is_off: false,
            fault: None,
            fired: Vec::new(),
            room: None,
            no_segment: 0,
            torn: 0,
        };
        Self { disk: Arc::new(Mutex::new(disk)), process: 0 }
    }

    /// Has something go wrong at the operation with this number, of those that it can happen to.
    pub(super) fn fail(&self, fault: Fault, after: u64) {
        self.lock().fault = Some((after, fault));
    }

    /// Nothing more goes wrong. Gives what has, since this was last asked.
    pub(super) fn calm(&self) -> Vec<Fault> {
        let mut disk = self.lock();
        disk.fault = None;
        disk.room = None;
        std::mem::take(&mut disk.fired)
    }

    /// Gives room again, without anything else.
    pub(super) fn make_room(&self) {
        self.lock().room = None;
    }

    /// What has gone wrong since [`SimulatedDisk::calm`].
    pub(super) fn fired(&self) -> Vec<Fault> {
        self.lock().fired.clone()
    }

    /// How often there was no room for a segment, as a file.
    pub(super) fn no_segment(&self) -> u64 {
        self.lock().no_segment
    }

    /// How many writes ended inside a sector.
    pub(super) fn torn(&self) -> u64 {
        self.lock().torn
    }

    /// Whether the power is cut.
    pub(super) fn is_off(&self) -> bool {
        self.lock().is_off
    }

    /// The process has died, and the system lives on. The disk as the next one sees it.
    pub(super) fn kill(&self) -> Self {
        let mut disk = self.lock();
        disk.process += 1;
        Self { disk: Arc::clone(&self.disk), process: disk.process }
    }

    /// Cuts the power, and gives it back. Of what was not synced, some sectors and names are there.
    pub(super) fn crash(&self) -> Self {
        self.lock().crash();
        self.kill()
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// What a file holds.
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        let disk = self.lock();
        disk.names.get(name).map(|file| disk.files[*file].seen.clone()).unwrap_or_default()
    }

    /// Makes a file hold exactly this, durably; `None` removes it.
    pub(super) fn put(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut disk = self.lock();
        let file = bytes.map(|bytes| {
            disk.files.push(Content { durable: bytes.clone(), seen: bytes, written: Vec::new() });
            disk.files.len() - 1
        });
        disk.rename(BTreeMap::from([(name.to_owned(), file)]));
        disk.durable_names = disk.names.clone();
        disk.renamed.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nothing panics while it holds the lock")
    }

    /// The disk, for this operation; and what goes wrong with it, but for a power cut in front of it.
    fn begin(&self, asked: Asked) -> io::Result<(MutexGuard<'_, Disk>, Option<Fault>)> {
        let mut disk = self.lock();
        if disk.is_off || disk.process != self.process {
            return Err(io::Error::other("the power is off"));
        }
        match disk.due(asked) {
            Some(Fault::PowerCut { behind: false }) => {
                disk.is_off = true;
                Err(io::Error::other("the power is off"))
            }
            Some(Fault::Read) => Err(io::Error::other("simulated EIO on read")),
            Some(Fault::SyncDirectory) => Err(io::Error::other("simulated EIO on sync of names")),
            Some(Fault::Change) => Err(io::Error::other("simulated EIO on a change of names")),
            fault => Ok((disk, fault)),
        }
    }

    fn file(&self, index: usize) -> Box<dyn StorageFile> {
        Box::new(SimulatedFile { disk: self.clone(), index })
    }
}

impl Disk {
    /// What is to go wrong now.
    fn due(&mut self, asked: Asked) -> Option<Fault> {
        let (left, fault) = self.fault.as_mut()?;
        let happens = match fault {
            Fault::PowerCut { .. } => asked != Asked::Read,
            Fault::Write | Fault::Full => asked == Asked::Write,
            Fault::Sync { .. } => asked == Asked::Sync,
            Fault::SyncDirectory => asked == Asked::SyncDirectory,
            Fault::Read => asked == Asked::Read,
            Fault::Change => matches!(asked, Asked::Create | Asked::Change),
            Fault::NoFile => asked == Asked::Create,
        };
        if !happens {
            return None;
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let (_, fault) = self.fault.take()?;
        self.fired.push(fault);
        if fault == Fault::Full {
            self.room = Some(self.random.below(4) * 1000);
        }
        Some(fault)
    }

    /// Behind an operation that was done: whether anybody hears so.
    fn end<T>(&mut self, fault: Option<Fault>, done: T) -> io::Result<T> {
        if matches!(fault, Some(Fault::PowerCut { .. })) {
            self.is_off = true;
            return Err(io::Error::other("the power is off"));
        }
        Ok(done)
    }

    /// How much of a write of so many bytes is done if it ends early: up to a sector, or to any byte.
    fn part_of(&mut self, len: usize, offset: usize) -> usize {
        let any = usize::try_from(self.random.below(len.max(1) as u64)).expect("fewer");
        if self.random.below(2) == 0 {
            return ((offset + any) / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(offset);
        }
        self.torn += u64::from(!(offset + any).is_multiple_of(SECTOR_BYTES));
        any
    }

    fn rename(&mut self, change: BTreeMap<String, Option<usize>>) {
        apply(&mut self.names, &change);
        self.renamed.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        Ok(*self.names.get(name).ok_or(io::ErrorKind::NotFound)?)
    }

    fn crash(&mut self) {
        let kept = self.random.below(self.renamed.len() as u64 + 1);
        for change in self.renamed.drain(..).take(usize::try_from(kept).expect("few")) {
            apply(&mut self.durable_names, &change);
        }
        self.names = self.durable_names.clone();
        let odds = self.random.below(5);
        for content in &mut self.files {
            content.write_some(&mut self.random, odds);
            content.seen = content.durable.clone();
        }
        (self.is_off, self.fault, self.room) = (false, None, None);
    }
}

fn is_segment(name: &str) -> bool {
    name.starts_with("journal-") && name.strip_suffix(".mite").is_some()
}

fn apply(names: &mut BTreeMap<String, usize>, change: &BTreeMap<String, Option<usize>>) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        put(&mut self.seen, bytes, offset);
        self.written.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        for (offset, bytes) in self.written.drain(..) {
            put(&mut self.durable, &bytes, offset);
        }
    }

    /// Of what was written since the last sync, each sector gets to the disk as it was behind one of the
    /// writes, or does not, at odds of so many in four. The rest is forgotten.
    fn write_some(&mut self, random: &mut Random, odds: u64) {
        let mut image = self.durable.clone();
        for (offset, bytes) in self.written.drain(..) {
            put(&mut image, &bytes, offset);
            let end = offset + bytes.len();
            for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                if random.below(4) < odds {
                    let start = sector * SECTOR_BYTES;
                    let sector = &image[start..image.len().min(start + SECTOR_BYTES)];
                    put(&mut self.durable, sector, start);
                }
            }
        }
    }
}

/// Writes `bytes` at `offset`, behind zeros if nothing stands before.
fn put(content: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    content.resize(content.len().max(end), 0);
    content[offset..end].copy_from_slice(bytes);
}

impl Storage for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let (disk, _) = self.begin(Asked::Read)?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let (disk, _) = self.begin(Asked::Read)?;
        Ok(self.file(disk.find(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let (mut disk, fault) = self.begin(Asked::Create)?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if fault == Some(Fault::NoFile) {
            disk.no_segment += u64::from(is_segment(name));
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.files.push(Content::default());
        let file = disk.files.len() - 1;
        disk.rename(BTreeMap::from([(name.to_owned(), Some(file))]));
        disk.end(fault, self.file(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut disk, fault) = self.begin(Asked::Change)?;
        disk.find(name)?;
        disk.rename(BTreeMap::from([(name.to_owned(), None)]));
        disk.end(fault, ())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut disk, fault) = self.begin(Asked::Change)?;
        let file = disk.find(from)?;
        disk.rename(BTreeMap::from([(from.to_owned(), None), (to.to_owned(), Some(file))]));
        disk.end(fault, ())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut disk, fault) = self.begin(Asked::SyncDirectory)?;
        disk.durable_names = disk.names.clone();
        disk.renamed.clear();
        disk.end(fault, ())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    index: usize,
}

impl StorageFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let (disk, _) = self.disk.begin(Asked::Read)?;
        Ok(disk.files[self.index].seen.len() as u64)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        // Nobody cuts a file.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (disk, _) = self.disk.begin(Asked::Read)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let found = disk.files[self.index].seen.get(offset..offset + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut disk, fault) = self.disk.begin(Asked::Write)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let end = offset + bytes.len();
        if fault == Some(Fault::Write) {
            let part = disk.part_of(bytes.len(), offset);
            disk.files[self.index].write(&bytes[..part], offset);
            return Err(io::Error::other("simulated EIO on write"));
        }
        if fault == (Some(Fault::PowerCut { behind: true })) && disk.random.below(2) == 0 {
            // While it was copied to the page cache, from where some of it may have got to the disk.
            let part = disk.part_of(bytes.len(), offset);
            disk.files[self.index].write(&bytes[..part], offset);
            return disk.end(fault, ());
        }
        let growth = end.saturating_sub(disk.files[self.index].seen.len()) as u64;
        match disk.room {
            Some(room) if room < growth => {
                let missing = usize::try_from(growth - room).expect("less than what is written");
                disk.files[self.index].write(&bytes[..bytes.len() - missing], offset);
                disk.room = Some(0);
                return Err(io::ErrorKind::StorageFull.into());
            }
            room => disk.room = room.map(|room| room - growth),
        }
        disk.files[self.index].write(bytes, offset);
        disk.end(fault, ())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut disk, fault) = self.disk.begin(Asked::Sync)?;
        let Disk { files, random, .. } = &mut *disk;
        let content = &mut files[self.index];
        if let Some(Fault::Sync { evicted }) = fault {
            let odds = random.below(5);
            content.write_some(random, odds);
            if evicted {
                content.seen = content.durable.clone();
            }
            return Err(io::Error::other("simulated EIO on sync"));
        }
        content.sync();
        disk.end(fault, ())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}
