//! What goes wrong in a run: with the disk, with the process, and with files behind both.

use std::sync::Arc;

use actors::ledger::LedgerHealth;
use actors::ledger::journal::{OpenError, Storage};

use super::{OPERATIONS_MAX, World};
use crate::disk_simulation::damage::{self, Damaged};
use crate::disk_simulation::disk::{Fault, SimulatedDisk};
use crate::disk_simulation::history;

impl World {
    pub(super) fn prepare_fault(&mut self) {
        let fault = match self.random.below(10) {
            0..3 => Fault::PowerCut { behind: self.random.below(2) == 0 },
            3 => Fault::Write,
            4 => Fault::Sync { evicted: self.random.below(2) == 0 },
            5 => Fault::SyncDirectory,
            6 => Fault::Read,
            7 => Fault::Change,
            8 => Fault::NoFile,
            _ => Fault::Full,
        };
        self.disk.fail(fault, self.random.below(OPERATIONS_MAX));
    }

    pub(super) fn crash_or_kill(&mut self) {
        if self.disk.is_off() || self.random.below(2) == 0 {
            self.tally.power_cuts += 1;
            self.end_process(SimulatedDisk::crash);
        } else {
            self.kill();
        }
    }

    pub(in super::super) fn kill(&mut self) {
        self.tally.kills += 1;
        self.end_process(SimulatedDisk::kill);
    }

    /// Whoever waits for an answer never gets one.
    fn end_process(&mut self, end: impl FnOnce(&SimulatedDisk) -> SimulatedDisk) {
        let was_off = self.disk.is_off();
        // First, so that nothing that is dropped changes anything.
        self.disk = end(&self.disk);
        if let Some(running) = self.running.take() {
            let is_writing = *running.health.borrow() == LedgerHealth::Writing;
            self.tally.read_only += u64::from(!was_off && !is_writing);
            running.background.end();
        }
    }

    pub(super) fn calm(&mut self) {
        self.count_faults();
        self.disk.calm();
    }

    pub(super) fn count_faults(&mut self) {
        let failures = &mut self.tally.failures;
        for fault in self.disk.fired() {
            let count = match fault {
                Fault::PowerCut { .. } => continue,
                Fault::Write => &mut failures.writes,
                Fault::Sync { .. } => &mut failures.syncs,
                Fault::SyncDirectory => &mut failures.directory_syncs,
                Fault::Read => &mut failures.reads,
                Fault::Change => &mut failures.changes,
                Fault::Full => &mut self.tally.full,
                Fault::NoFile => &mut self.tally.no_file,
            };
            *count += 1;
        }
    }

    /// Something happens to a file, and the server is started: it refuses to, or nothing is lost but what stood at
    /// the end of the journal.
    pub(in super::super) fn damage(&mut self) -> Result<(), String> {
        let disk: Arc<dyn Storage> = Arc::new(self.disk.clone());
        let before = self.open().map_err(|error| format!("in front of damage: {error}"))?.1;
        let told = self.history.check(Arc::clone(&disk), &before)?;
        let Some(damaged) = damage::damage(&self.disk, &mut self.random) else { return Ok(()) };
        self.tally.damaged += 1;
        match self.open() {
            Err(OpenError::Io(error)) => Err(format!("{damaged:?}: {error}")),
            Err(_) if damaged == Damaged::Snapshot => Err("a snapshot kept it from opening".into()),
            Err(error) if names_a_place(&error) => {
                self.tally.refused += 1;
                Ok(())
            }
            Err(error) => Err(format!("{damaged:?}: {error}")),
            // That is, unless a power cut may look the same.
            Ok((_, state)) if damaged == Damaged::End && state != before => {
                self.tally.cut += 1;
                history::expect_begin(disk, &state, &told.entries)
            }
            Ok((_, state)) if state == before => match damaged {
                // It may be in what lies before the newest snapshot, and is not looked at.
                Damaged::Bit | Damaged::Middle => Ok(()),
                _ => self.history.check(disk, &state).map(drop),
            },
            // The newest snapshot alone knows which orders were forgotten beyond the last batch. Without it more
            // are remembered, which settles none of them twice.
            Ok((_, state))
                if damaged == Damaged::Snapshot
                    && state.accounts() == before.accounts()
                    && state.next_entry() == before.next_entry() =>
            {
                self.history.check(disk, &state).map(drop)
            }
            Ok(_) => Err(format!("{damaged:?}: another state")),
        }
    }
}

fn names_a_place(error: &OpenError) -> bool {
    match error {
        OpenError::Damaged { file, .. }
        | OpenError::OtherServer { file, .. }
        | OpenError::Newer { file, .. }
        | OpenError::BatchesMissing { file, .. } => file.strip_suffix(".mite").is_some(),
        OpenError::Io(_) => false,
    }
}
