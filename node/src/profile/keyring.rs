//! The keys of a profile, ready to sign: made at first use, restored from their words, replaced.

use std::io;
use std::sync::Arc;

use actors::messages::Signer;
use wire::PublicKey;

use super::directory::{DirectoryError, ProfileDirectory};
use super::identity::{Identity, PhraseError, RecoveryPhrase};
use super::key_file::{self, KeyFileError, KeyFileProblem, LockedKey, Slot};
use super::known::KnownKeysError;
use super::passphrase::{PassphraseError, Prompt, Protection, Purpose, QUESTIONS_MAX, Sources};

/// The keys of a profile that this process works in.
pub(crate) struct Keyring {
    dir: Arc<ProfileDirectory>,
    protection: Protection,
    current: Signer,
    next: Option<Signer>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// One of its keys.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The passphrase of its keys.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The words that are to restore it.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The keys that it knows.
    #[error(transparent)]
    KnownKeys(#[from] KnownKeysError),
    /// It is to be restored, and there is one.
    #[error("this profile has a key already")]
    NotNew,
    /// It is to be restored, and the person did not type the words.
    #[error("stopped: no words were typed")]
    NoWords,
    /// Nobody could be shown the words of a new key.
    #[error("the words of the new key cannot be shown: {}", actors::reason::reason(.0))]
    WordsNotShown(#[source] io::Error),
    /// The system.
    #[error("cannot use the profile: {}", actors::reason::reason(.0))]
    Io(#[from] io::Error),
}

impl ProfileError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Directory(error) => error.hint(),
            Self::KeyFile(error) => error.hint(),
            Self::Passphrase(error) => error.hint(),
            Self::Phrase(error) => error.hint(),
            Self::KnownKeys(error) => error.hint(),
            Self::NotNew => "choose another one with --profile: no key is ever overwritten".into(),
            Self::NoWords => "nothing was changed; start again when you have them".into(),
            Self::WordsNotShown(_) => {
                "no key was made: who has lost its words could lose it".into()
            }
            Self::Io(_) => "check the disk and the permissions of the directory".into(),
        }
    }
}

impl Keyring {
    /// Unlocks the keys of a profile. A profile without a past gets a new key, once the words that
    /// restore it are shown: whoever has lost both has lost the account.
    ///
    /// # Errors
    /// [`ProfileError`]. A profile with a past whose key is missing never gets a new one.
    pub(crate) fn open(
        dir: Arc<ProfileDirectory>,
        sources: &Sources,
        prompt: &mut impl Prompt,
        show: impl FnOnce(&RecoveryPhrase) -> io::Result<()>,
    ) -> Result<Self, ProfileError> {
        if dir.is_new()? {
            let identity = Identity::generate()?;
            let protection = sources.obtain(Purpose::NewKey, prompt)?;
            // Whatever happens behind this, there is no key whose words nobody has seen.
            show(&identity.phrase()).map_err(ProfileError::WordsNotShown)?;
            return Self::create(dir, &identity, protection);
        }
        let keys = key_file::load_all(&dir)?;
        let (protection, current) = unlock(&keys.current, sources, prompt)?;
        let current = signer(&current);
        let next = keys.next.map(|next| next.unlock(&protection)).transpose()?;
        Ok(Self { dir, protection, current, next: next.as_ref().map(signer) })
    }

    /// Whether a profile can be made of a key in this directory.
    ///
    /// # Errors
    /// [`ProfileError::NotNew`] if there is anything in it.
    pub(crate) fn check_new(dir: &ProfileDirectory) -> Result<(), ProfileError> {
        if dir.is_new()? { Ok(()) } else { Err(ProfileError::NotNew) }
    }

    /// Makes a profile of the key that these words stand for.
    ///
    /// # Errors
    /// [`ProfileError`]; [`ProfileError::NotNew`] if there is anything in the profile.
    pub(crate) fn restore(
        dir: Arc<ProfileDirectory>,
        phrase: &str,
        sources: &Sources,
        prompt: &mut impl Prompt,
    ) -> Result<Self, ProfileError> {
        Self::check_new(&dir)?;
        let identity = Identity::from_phrase(phrase)?;
        Self::create(dir, &identity, sources.obtain(Purpose::NewKey, prompt)?)
    }

    fn create(
        dir: Arc<ProfileDirectory>,
        identity: &Identity,
        protection: Protection,
    ) -> Result<Self, ProfileError> {
        key_file::create(&dir, Slot::Current, identity, &protection)?;
        Ok(Self { dir, protection, current: signer(identity), next: None })
    }

    /// The key in use.
    pub(crate) fn current(&self) -> &Signer {
        &self.current
    }

    /// The key that was to follow it when the program ended: whether the server has taken it must be
    /// asked there.
    pub(crate) fn next(&self) -> Option<&Signer> {
        self.next.as_ref()
    }

    /// Makes the key that is to follow and keeps it, durably, beside the one in use. If there is one
    /// already that the server has not taken, it is that one.
    ///
    /// # Errors
    /// [`ProfileError`]; nothing has changed then.
    pub(crate) fn make_next(&mut self) -> Result<(Signer, RecoveryPhrase), ProfileError> {
        if let Some(next) = &self.next {
            let phrase = Identity::from_seed(next.key().as_bytes()).phrase();
            return Ok((next.clone(), phrase));
        }
        let identity = Identity::generate()?;
        key_file::create(&self.dir, Slot::Next, &identity, &self.protection)?;
        let next = self.next.insert(signer(&identity)).clone();
        Ok((next, identity.phrase()))
    }

    /// The server says which of the keys is the account's: puts the next one in the place of the
    /// current one, if it is that.
    ///
    /// # Errors
    /// [`ProfileError`] if the disk fails; both keys are still there then.
    pub(crate) fn settle(&mut self, live: &PublicKey) -> Result<(), ProfileError> {
        if let Some(next) = self.next.take_if(|next| next.public_key() == *live) {
            if let Err(error) = key_file::promote_next(&self.dir) {
                self.next = Some(next);
                return Err(error.into());
            }
            self.current = next;
        }
        Ok(())
    }
}

fn signer(identity: &Identity) -> Signer {
    Signer::new(*identity.signing_key())
}

/// Unlocks a key. Nobody is asked for the passphrase of one that has none, and a person who mistypes it
/// may try again.
fn unlock(
    key: &LockedKey,
    sources: &Sources,
    prompt: &mut impl Prompt,
) -> Result<(Protection, Identity), ProfileError> {
    if !key.is_encrypted() && !sources.none {
        return Err(key.problem(KeyFileProblem::NotEncrypted).into());
    }
    let mut tries_left = if sources.ask_a_person(prompt) { QUESTIONS_MAX } else { 1 };
    loop {
        tries_left -= 1;
        let protection = sources.obtain(Purpose::OldKey, prompt)?;
        match key.unlock(&protection) {
            Ok(identity) => return Ok((protection, identity)),
            Err(KeyFileError { problem: KeyFileProblem::WrongPassphrase, .. })
                if tries_left > 0 =>
            {
                prompt.complain("the passphrase is wrong");
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;
    use wire::Username;
    use zeroize::Zeroizing;

    use super::super::directory::ProfileName;
    use super::*;

    /// Nobody is at the terminal.
    struct Nobody;

    impl Prompt for Nobody {
        fn is_possible(&self) -> bool {
            false
        }

        fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
            panic!("nobody can answer {question:?}")
        }

        fn complain(&mut self, complaint: &str) {
            panic!("nobody hears {complaint:?}")
        }
    }

    fn directory(config: &Path) -> Arc<ProfileDirectory> {
        let name: Username = "alice".parse().expect("a name");
        let dir = ProfileDirectory::open(config, &ProfileName::from(&name));
        Arc::new(dir.expect("a profile's directory"))
    }

    fn unprotected() -> Sources {
        Sources { none: true, ..Sources::default() }
    }

    fn config_dir() -> TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    /// The keys, and the words of a new one.
    fn open(config: &TempDir) -> Result<(Keyring, Option<Zeroizing<String>>), ProfileError> {
        let mut words = None;
        let show = |phrase: &RecoveryPhrase| {
            words = Some(phrase.reveal());
            Ok(())
        };
        let opened = Keyring::open(directory(config.path()), &unprotected(), &mut Nobody, show);
        opened.map(|keyring| (keyring, words))
    }

    /// A person who types these passphrases.
    struct Typist {
        answers: Vec<&'static str>,
        complaints: usize,
    }

    impl Prompt for Typist {
        fn is_possible(&self) -> bool {
            true
        }

        fn ask(&mut self, _: &str) -> io::Result<Zeroizing<String>> {
            Ok(Zeroizing::new(self.answers.remove(0).to_owned()))
        }

        fn complain(&mut self, _: &str) {
            self.complaints += 1;
        }
    }

    /// Opens the profile with these answers; gives how many were not needed, and the complaints.
    fn typed(
        config: &TempDir,
        answers: &[&'static str],
    ) -> (Result<Keyring, ProfileError>, usize, usize) {
        let mut typist = Typist { answers: answers.to_vec(), complaints: 0 };
        let dir = directory(config.path());
        let opened = Keyring::open(dir, &Sources::default(), &mut typist, |_| Ok(()));
        (opened, typist.answers.len(), typist.complaints)
    }

    #[test]
    fn a_person_may_mistype_the_passphrase_twice() {
        let config = config_dir();
        typed(&config, &["correct horse"; 2]).0.expect("a new key");
        let (opened, left, complaints) =
            typed(&config, &["horse", "corect horse", "correct horse"]);
        opened.expect("the third is right");
        assert_eq!((left, complaints), (0, 2));
        let (opened, left, complaints) = typed(&config, &["horse"; 4]);
        let error = opened.err().expect("three wrong ones");
        assert!(error.to_string().contains("the passphrase is wrong"), "{error}");
        assert_eq!((left, complaints), (1, 2));
        // Whoever is no person would say the same again.
        let environment = Some(Zeroizing::new(b"horse".to_vec()));
        let sources = Sources { environment, ..Sources::default() };
        let opened = Keyring::open(directory(config.path()), &sources, &mut Nobody, |_| Ok(()));
        assert!(matches!(opened, Err(ProfileError::KeyFile(_))));
    }

    /// The program may end between the two: a key in a file whose words nobody has seen would be lost
    /// with its machine.
    #[test]
    fn a_key_is_stored_only_once_its_words_are_shown() {
        let config = config_dir();
        let dir = directory(config.path());
        let file = dir.path().join("identity.key");
        let show = |_: &RecoveryPhrase| {
            assert!(!file.exists(), "the key is stored already");
            Err(io::ErrorKind::BrokenPipe.into())
        };
        let opened = Keyring::open(dir, &unprotected(), &mut Nobody, show);
        assert!(matches!(opened, Err(ProfileError::WordsNotShown(_))));
        assert!(!file.exists(), "nobody has its words");
        open(&config).expect("a new key, the next time");
        assert!(file.exists());
    }

    #[test]
    fn a_key_is_made_once_and_its_words_restore_it_elsewhere() {
        let config = config_dir();
        let (keyring, phrase) = open(&config).expect("a new key");
        let words = phrase.expect("its words");
        let key = keyring.current().public_key();
        drop(keyring);
        let (keyring, phrase) = open(&config).expect("the same key");
        assert_eq!(keyring.current().public_key(), key);
        assert!(phrase.is_none(), "they are shown once");

        let elsewhere = config_dir();
        let restored =
            Keyring::restore(directory(elsewhere.path()), &words, &unprotected(), &mut Nobody);
        assert_eq!(restored.expect("the words are right").current().public_key(), key);
        let again =
            Keyring::restore(directory(elsewhere.path()), &words, &unprotected(), &mut Nobody);
        assert!(matches!(again, Err(ProfileError::NotNew)), "no key is overwritten");
    }

    #[test]
    fn a_key_without_a_passphrase_is_used_only_if_its_owner_says_so() {
        let config = config_dir();
        open(&config).expect("a new key");
        let silent = Sources::default();
        let opened = Keyring::open(directory(config.path()), &silent, &mut Nobody, |_| Ok(()));
        let error = opened.err().expect("somebody may have put it there");
        assert!(error.to_string().contains("not encrypted"), "{error}");
        assert!(error.hint().contains("--no-passphrase"), "{}", error.hint());
    }

    #[test]
    fn a_lost_key_is_never_replaced_by_a_new_one() {
        let config = config_dir();
        let (keyring, _) = open(&config).expect("a new key");
        let path = keyring.dir.path().to_owned();
        drop(keyring);
        std::fs::write(path.join("wallet.redb"), b"a past").expect("it can be written");
        std::fs::remove_file(path.join("identity.key")).expect("it is there");
        assert!(matches!(open(&config), Err(ProfileError::KeyFile(_))));
    }

    /// The program may end at any moment of a rotation: before the server is asked, or before it is
    /// known what the server said.
    #[test]
    fn the_next_key_waits_beside_the_current_one_until_the_server_has_taken_it() {
        let config = config_dir();
        let (mut keyring, _) = open(&config).expect("a new key");
        let old = keyring.current().public_key();
        let (next, words) = keyring.make_next().expect("a next key");
        drop(keyring);

        let (mut keyring, _) = open(&config).expect("both keys");
        assert_eq!(keyring.current().public_key(), old);
        assert_eq!(keyring.next().map(Signer::public_key), Some(next.public_key()));
        let (same, same_words) = keyring.make_next().expect("the one that is there");
        assert_eq!(same.public_key(), next.public_key());
        assert_eq!(*same_words.reveal(), *words.reveal());
        keyring.settle(&old).expect("nothing to do");
        assert_eq!(keyring.current().public_key(), old);
        keyring.settle(&next.public_key()).expect("the next key is promoted");
        assert_eq!(keyring.current().public_key(), next.public_key());
        drop(keyring);

        let (keyring, _) = open(&config).expect("the new key");
        assert_eq!(keyring.current().public_key(), next.public_key());
        assert!(keyring.next().is_none());
    }
}
