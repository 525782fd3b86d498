//! A profile for tests.

use std::sync::Arc;

use tempfile::TempDir;

use super::directory::{ProfileDirectory, ProfileName};

/// Alice's, new. It is there as long as the second value.
pub(super) fn profile() -> (Arc<ProfileDirectory>, TempDir) {
    let root = tempfile::tempdir().expect("a directory");
    let name = ProfileName::from(&"alice".parse().expect("a name"));
    let dir = ProfileDirectory::open(root.path(), &name).expect("a profile");
    (Arc::new(dir), root)
}
