//! A data directory together with the segments that were archived from it.

use std::io;
use std::sync::Arc;

use super::segment::parse_segment_name;
use super::storage::{Storage, StorageFile};

/// A directory that also shows the segments of another one, where it has none of their names itself.
///
/// A segment that is being archived is in one of the two at any time. All that is written goes to the first.
#[derive(Clone)]
pub struct WithArchived {
    live: Arc<dyn Storage>,
    archived: Arc<dyn Storage>,
}

impl WithArchived {
    /// `live`, and behind it the segments in `archived`.
    pub const fn new(live: Arc<dyn Storage>, archived: Arc<dyn Storage>) -> Self {
        Self { live, archived }
    }
}

impl Storage for WithArchived {
    fn list(&self) -> io::Result<Vec<String>> {
        // The archive last: what is archived in between is seen twice rather than not at all.
        let mut names = self.live.list()?;
        let archived = self.archived.list()?;
        names.extend(archived.into_iter().filter(|name| parse_segment_name(name).is_some()));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        match self.live.open(name) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && parse_segment_name(name).is_some() =>
            {
                self.archived.open(name)
            }
            opened => opened,
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.live.create(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.live.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.live.rename(from, to)
    }

    fn sync(&self) -> io::Result<()> {
        self.live.sync()
    }
}
