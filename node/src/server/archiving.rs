//! Archiving while the server runs: a thread that looks now and then for segments that nobody needs any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actors::backup::{ArchivingOptions, archive_segments, open_archive};
use actors::ledger::journal::{Storage, WithArchived};
use slog::{Logger, error, info};
use wire::PublicKey;

use crate::config::ArchivingConfig;
use crate::error::Error;

/// How often to look: segments become old with a snapshot, which are minutes apart under the heaviest load.
/// A look that finds nothing lists the directory.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// A data directory and its archive.
pub(super) struct Archive {
    live: Arc<dyn Storage>,
    old: Arc<dyn Storage>,
    keep_segments: usize,
}

impl Archive {
    /// Opens the archive of the data directory that is open as `live`.
    pub(super) fn open(
        data_dir: &Path,
        live: Arc<dyn Storage>,
        config: &ArchivingConfig,
    ) -> Result<Self, Error> {
        let archive = open_archive(data_dir, &config.to)
            .map_err(|cause| Error::Archiving { path: data_dir.into(), cause })?;
        Ok(Self { live, old: Arc::new(archive), keep_segments: config.keep_segments })
    }

    /// Both as one directory.
    pub(super) fn together(&self) -> Arc<dyn Storage> {
        Arc::new(WithArchived::new(Arc::clone(&self.live), Arc::clone(&self.old)))
    }

    /// Starts archiving for the server with this key.
    pub(super) fn start(self, server: PublicKey, log: &Logger) -> Archiving {
        self.look_every(LOOK_EVERY, server, log)
    }

    fn look_every(self, pause: Duration, server: PublicKey, log: &Logger) -> Archiving {
        let (stop, stopped) = mpsc::channel();
        let its_log = log.clone();
        let archive = move || {
            loop {
                // Unseen, the end of this thread would let the disk fill without a word.
                let look = AssertUnwindSafe(|| self.look(server, &its_log));
                if catch_unwind(look).is_err() {
                    error!(
                        its_log,
                        "segments cannot be archived: that has panicked, and is tried again"
                    );
                }
                match stopped.recv_timeout(pause) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = thread::Builder::new().name("mite-archiving".to_owned()).spawn(archive);
        if let Err(error) = &thread {
            error!(log, "no segments are archived: the system starts no thread"; "error" => %error);
        }
        Archiving { stop, thread: thread.ok() }
    }

    fn look(&self, server: PublicKey, log: &Logger) {
        // The index reads from the archive, too.
        let options = ArchivingOptions { server, keep_segments: self.keep_segments, indexed: None };
        match archive_segments(&*self.live, &*self.old, &options) {
            Ok(report) if report.segments == 0 => {}
            Ok(report) => info!(log, "segments archived"; "count" => report.segments,
                "batch" => report.last.batch.get(), "left" => report.segments_left),
            // The server goes on without; the disk fills until somebody looks.
            Err(error) => error!(log, "segments cannot be archived"; "error" => %error),
        }
    }
}

/// Archiving that is under way.
pub(super) struct Archiving {
    stop: mpsc::Sender<()>,
    /// `None` if the system started no thread.
    thread: Option<JoinHandle<()>>,
}

impl Archiving {
    /// Waits for the segment that is being moved, and ends.
    pub(super) fn stop(self) {
        // It may have ended, which was reported when it happened.
        let _ = self.stop.send(());
        let _ = self.thread.map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use actors::ledger::journal::{MemoryStorage, StorageFile};
    use slog::o;

    use super::*;

    /// A data directory that panics at the first look, and says of each of the others.
    struct Panicking {
        panicked: AtomicBool,
        looks: Sender<()>,
    }

    impl Storage for Panicking {
        fn list(&self) -> io::Result<Vec<String>> {
            let panicked = self.panicked.swap(true, Ordering::Relaxed);
            assert!(panicked, "the disk panics, on purpose");
            self.looks.send(()).map_err(io::Error::other)?;
            Ok(Vec::new())
        }

        fn open(&self, _: &str) -> io::Result<Box<dyn StorageFile>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn create(&self, _: &str) -> io::Result<Box<dyn StorageFile>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn remove(&self, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Passes on what is logged.
    struct Said(Mutex<Sender<String>>);

    impl slog::Drain for Said {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
            // A test that has heard enough listens no more.
            let _ = self.0.lock().expect("not poisoned").send(record.msg().to_string());
            Ok(())
        }
    }

    /// The story: archiving panicked, and nobody noticed before the disk was full.
    #[test]
    fn a_panic_is_said_and_the_next_look_comes() {
        let (looks, looked) = channel();
        let (said, heard) = channel();
        let archive = Archive {
            live: Arc::new(Panicking { panicked: AtomicBool::new(false), looks }),
            old: Arc::new(MemoryStorage::new()),
            keep_segments: 1,
        };
        let log = Logger::root(Said(Mutex::new(said)), o!());
        let server = PublicKey::new([1; 32]);
        let archiving = archive.look_every(Duration::from_millis(1), server, &log);
        let patience = Duration::from_secs(30);
        let line = heard.recv_timeout(patience).expect("it is said");
        assert!(line.contains("panicked, and is tried again"), "{line}");
        looked.recv_timeout(patience).expect("the next look comes");
        archiving.stop();
    }
}
