//! The profile and its keys, at start; what a person is told of them.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use actors::secure_wallet::store::RedbStore;
use wire::{PublicKey, Username};
use zeroize::Zeroizing;

use super::{LiveIdentity, Parts};
use crate::config::SecureConfig;
use crate::error::Error;
use crate::profile::directory::{ProfileDirectory, ProfileName};
use crate::profile::identity::{RecoveryPhrase, push_words};
use crate::profile::keyring::{Keyring, ProfileError};
use crate::profile::passphrase::{Sources, Terminal};
use crate::terminal::{KeyRotation, NextKey};

/// The file of the wallet in a profile's directory.
const WALLET_NAME: &str = "wallet.redb";

/// A profile that this process works in, with its keys unlocked.
pub(super) struct Opened {
    /// The profile.
    pub(super) dir: Arc<ProfileDirectory>,
    keyring: Keyring,
}

/// Opens the profile, which gets a key if it has none. The words of a new key are shown.
pub(super) fn open(config: &SecureConfig) -> Result<Opened, Error> {
    let dir = directory(config)?;
    let keyring = Keyring::open(Arc::clone(&dir), &sources(config), &mut Terminal, show)?;
    Ok(Opened { dir, keyring })
}

/// What a client of the demo is made of: its profile is here, its key unencrypted and its words shown to
/// nobody, since nothing is at stake.
pub(crate) fn parts_of(profiles: &Path, name: &Username) -> Result<Parts, Error> {
    let dir = ProfileDirectory::open(profiles, &ProfileName::from(name));
    let dir = Arc::new(dir.map_err(ProfileError::from)?);
    let sources = Sources { none: true, ..Sources::default() };
    let keyring = Keyring::open(Arc::clone(&dir), &sources, &mut Terminal, |_| Ok(()))?;
    Opened { dir, keyring }.parts()
}

/// The directory of a profile that is to be made.
pub(super) fn vacant(config: &SecureConfig) -> Result<Arc<ProfileDirectory>, Error> {
    let dir = directory(config)?;
    Keyring::check_new(&dir)?;
    Ok(dir)
}

/// Makes the profile of the key that these words stand for.
pub(super) fn restore(
    config: &SecureConfig,
    dir: Arc<ProfileDirectory>,
    words: &str,
) -> Result<Opened, Error> {
    let keyring = Keyring::restore(Arc::clone(&dir), words, &sources(config), &mut Terminal)?;
    Ok(Opened { dir, keyring })
}

fn directory(config: &SecureConfig) -> Result<Arc<ProfileDirectory>, Error> {
    let name = ProfileName::from(&config.profile);
    let dir = ProfileDirectory::open(&config.config_dir, &name).map_err(ProfileError::from)?;
    Ok(Arc::new(dir))
}

fn sources(config: &SecureConfig) -> Sources {
    Sources::new(config.passphrase_file.clone(), config.no_passphrase)
}

impl Opened {
    /// What the client's actors are made of.
    pub(super) fn parts(&self) -> Result<Parts, Error> {
        let path = self.dir.path().join(WALLET_NAME);
        let store = RedbStore::open(&path).map_err(|error| Error::Profile {
            cause: format!("cannot use the wallet {}: {error}", path.display()).into(),
            hint: "check the disk and the permissions of the file".into(),
        })?;
        let (signer, next) = (self.keyring.current().clone(), self.keyring.next().cloned());
        Ok(Parts { signer, next, store: Box::new(store) })
    }

    /// What the terminal needs for key changes. `identity` follows them.
    pub(super) fn rotation(self, identity: LiveIdentity) -> Rotation {
        Rotation { keyring: Rc::new(RefCell::new(self.keyring)), identity }
    }
}

/// Keeps the keys of a change.
pub(super) struct Rotation {
    keyring: Rc<RefCell<Keyring>>,
    identity: LiveIdentity,
}

impl KeyRotation for Rotation {
    async fn next_key(&mut self) -> Result<NextKey, Error> {
        let (signer, phrase) = self.keyring.borrow_mut().make_next()?;
        Ok(NextKey { signer, words: phrase.reveal() })
    }

    fn settle_on(&mut self, key: &PublicKey) -> Result<(), Error> {
        let mut keyring = self.keyring.borrow_mut();
        if let Some(next) = keyring.next().filter(|next| next.public_key() == *key) {
            // Peers must see the new key even if it cannot be stored now: it is the account's.
            self.identity.set(next.clone());
        }
        Ok(keyring.settle(key)?)
    }
}

/// Shows the words of a new key, once.
fn show(phrase: &RecoveryPhrase) -> io::Result<()> {
    let words = phrase.reveal();
    let mut text = Zeroizing::new(String::with_capacity(2048));
    text.push_str(
        "A new key was made for you. These 24 words restore it; they are shown this once:\n\n",
    );
    push_words(&mut text, &words);
    text.push_str(
        "\nWrite them down on paper. Whoever has them has your account; whoever has lost both the\n\
         words and this machine has lost it, and nobody can bring it back.\n\n",
    );
    io::stderr().write_all(text.as_bytes())
}
