//! What a client keeps on disk of its own: its identity, and which servers it trusts.
//!
//! Each profile is a directory of its own, which one client at a time works in.
//!
//! | module | holds |
//! |---|---|
//! | [`directory`] | where a profile is; its lock; files that are whole or not there |
//! | [`identity`] | the client's key, and the 24 words that restore it |
//! | [`key_file`] | `identity.key`: the key at rest, encrypted |
//! | [`keyring`] | the keys, ready to sign: made, restored, replaced |
//! | [`passphrase`] | where the passphrase comes from |
//! | [`known`] | `known.keys`: the keys of servers, trusted at first contact |

pub(crate) mod directory;
pub(crate) mod identity;
pub(crate) mod key_file;
pub(crate) mod keyring;
pub(crate) mod known;
pub(crate) mod passphrase;
#[cfg(test)]
mod probe;
