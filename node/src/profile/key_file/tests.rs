use std::fs;
use std::mem::discriminant;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use argon2::Params;
use tempfile::TempDir;

use super::sealing::{Salt, Sealer};
use super::*;
use crate::hex::{from_hex, push_hex};
use crate::profile::passphrase::Passphrase;
use crate::profile::probe::profile;

/// The key of the first test vector of RFC 8032, section 7.1, as it must look for all time: files
/// like this are in use. Made with another implementation of each of the primitives.
const GOLDEN: &str = "mite identity key 1\n\
    public 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n\
    argon2id 65536 3 1\n\
    salt 000102030405060708090a0b0c0d0e0f\n\
    nonce 6465666768696a6b6c6d6e6f707172737475767778797a7b\n\
    secret 49764b31b70b88a533b020d869d3ccd56a9458ad2e6d6ab817e1d5f9c786c681\
    e6c8912045a898466c1c5eae5f68634c\n";

/// The same at a cost that tests can pay many times.
const CHEAP: &str = "mite identity key 1\n\
    public 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n\
    argon2id 8 1 1\n\
    salt 000102030405060708090a0b0c0d0e0f\n\
    nonce 6465666768696a6b6c6d6e6f707172737475767778797a7b\n\
    secret 7accf0f7a28fa8381de1c20025f10fbf083249235b8e44e9769acce47671ed98\
    6944c216b5a152be819eaccb5209e2d1\n";

const UNENCRYPTED: &str = "mite identity key 1\n\
    public 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n\
    unencrypted\n\
    secret 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n";

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PASSPHRASE: &str = "correct horse battery staple";
const LOW_COST: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

struct Profile {
    dir: Arc<ProfileDirectory>,
    _root: TempDir,
}

impl Profile {
    fn new() -> Self {
        let (dir, root) = profile();
        Self { dir, _root: root }
    }

    fn path(&self, slot: Slot) -> PathBuf {
        self.dir.path().join(slot.file_name())
    }

    fn put(&self, slot: Slot, bytes: &[u8], mode: u32) {
        fs::write(self.path(slot), bytes).expect("written");
        fs::set_permissions(self.path(slot), fs::Permissions::from_mode(mode)).expect("set");
    }

    fn open(&self, slot: Slot, protection: &Protection) -> Result<Identity, KeyFileProblem> {
        load(&self.dir, slot).and_then(|key| key.unlock(protection)).map_err(|error| error.problem)
    }

    fn create(&self, slot: Slot, identity: &Identity) -> Result<(), KeyFileError> {
        create_with(&self.dir, slot, identity, &passphrase(PASSPHRASE), LOW_COST)
    }
}

fn passphrase(text: &str) -> Protection {
    Protection::Passphrase(Passphrase::for_tests(text))
}

fn golden_identity() -> Identity {
    Identity::from_seed(&from_hex(SEED).expect("a seed"))
}

fn new_identity() -> Identity {
    Identity::generate().expect("randomness")
}

#[test]
fn golden_files() {
    for (text, protection) in [
        (GOLDEN, passphrase(PASSPHRASE)),
        (CHEAP, passphrase(PASSPHRASE)),
        (UNENCRYPTED, Protection::Nothing),
    ] {
        let profile = Profile::new();
        profile.put(Slot::Current, text.as_bytes(), 0o600);
        let key = load(&profile.dir, Slot::Current).expect("a key");
        assert_eq!(key.is_encrypted(), text != UNENCRYPTED);
        let identity = key.unlock(&protection).expect("the passphrase is right");
        assert_eq!(identity.seed(), golden_identity().seed());
        assert_eq!(key.file.write().as_str(), text);
    }
}

/// What is written, with the salt of the golden file.
#[test]
fn golden_secret() {
    let salt =
        Salt { salt: std::array::from_fn(byte), nonce: std::array::from_fn(|i| byte(i + 100)) };
    let params = Params::new(65536, 3, 1, Some(32)).expect("parameters");
    let sealer = Sealer::new(&Passphrase::for_tests(PASSPHRASE), params, &salt).expect("memory");
    let (header, secret) = GOLDEN.split_at(GOLDEN.find("secret ").expect("a secret"));
    let mut text = "secret ".to_owned();
    push_hex(&mut text, &sealer.seal(golden_identity().seed(), header.as_bytes()));
    assert_eq!(text + "\n", secret);
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("a byte")
}

#[test]
fn a_new_key_is_encrypted_and_the_owners_alone() {
    let profile = Profile::new();
    let identity = new_identity();
    create(&profile.dir, Slot::Current, &identity, &passphrase(PASSPHRASE)).expect("kept");
    let text = fs::read_to_string(profile.path(Slot::Current)).expect("there");
    let mode = fs::metadata(profile.path(Slot::Current)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(text.contains("\nargon2id 65536 3 1\n"), "{text}");
    let mut seed = String::new();
    push_hex(&mut seed, identity.seed());
    assert!(!text.contains(&seed), "the seed is in the file");
    let names: Vec<_> = fs::read_dir(profile.dir.path()).expect("readable").collect();
    assert_eq!(names.len(), 2, "the lock, the key, and no temporary file: {names:?}");

    let opened = profile.open(Slot::Current, &passphrase(PASSPHRASE)).expect("the same key");
    assert_eq!(opened.seed(), identity.seed());
}

#[test]
fn each_file_has_a_salt_and_a_nonce_of_its_own() {
    let write = || {
        let sealed = KeyFile::seal(&golden_identity(), &passphrase(PASSPHRASE), LOW_COST);
        sealed.expect("memory").write().to_string()
    };
    let (one, other) = (write(), write());
    for name in ["salt ", "nonce ", "secret "] {
        let line = |text: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        assert_ne!(line(&one), line(&other), "{name}");
    }
}

#[test]
fn only_the_right_passphrase_opens_it() {
    let profile = Profile::new();
    profile.put(Slot::Current, CHEAP.as_bytes(), 0o600);
    for wrong in [
        "",
        "correct horse battery stapl",
        "correct horse battery staple ",
        "Correct horse battery staple",
    ] {
        let problem = profile.open(Slot::Current, &passphrase(wrong)).expect_err(wrong);
        assert!(matches!(problem, KeyFileProblem::WrongPassphrase), "{wrong:?}: {problem:?}");
    }
    profile.open(Slot::Current, &passphrase(PASSPHRASE)).expect("still there");
}

/// Who can write to the disk for a moment must not get a client to work with a key of theirs.
#[test]
fn a_key_without_protection_is_used_only_if_that_is_said() {
    let profile = Profile::new();
    profile.put(Slot::Current, UNENCRYPTED.as_bytes(), 0o600);
    let problem = profile.open(Slot::Current, &passphrase(PASSPHRASE)).expect_err("unprotected");
    assert!(matches!(problem, KeyFileProblem::NotEncrypted), "{problem:?}");
    profile.put(Slot::Current, CHEAP.as_bytes(), 0o600);
    let problem = profile.open(Slot::Current, &Protection::Nothing).expect_err("protected");
    assert!(matches!(problem, KeyFileProblem::Encrypted), "{problem:?}");
}

/// A flipped bit must not become another key that nobody knows.
#[test]
fn every_damage_is_found_and_nothing_replaced() {
    let profile = Profile::new();
    for (text, protection) in [(CHEAP, passphrase(PASSPHRASE)), (UNENCRYPTED, Protection::Nothing)]
    {
        let refused = |bytes: &[u8]| {
            profile.put(Slot::Current, bytes, 0o600);
            let problem = profile.open(Slot::Current, &protection);
            assert_eq!(fs::read(profile.path(Slot::Current)).expect("there"), bytes);
            problem.expect_err(&String::from_utf8_lossy(bytes))
        };
        for length in 0..text.len() {
            refused(&text.as_bytes()[..length]);
        }
        for offset in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[offset] ^= 1 << bit;
                refused(&bytes);
            }
        }
        refused(&text.repeat(2).into_bytes());
        refused(format!("{text}\n").as_bytes());
        refused(format!("{text}{}", "x".repeat(FILE_BYTES_MAX)).as_bytes());
    }
}

#[test]
fn what_is_wrong_with_a_file() {
    use KeyFileProblem as P;
    let other = new_identity().public_key().to_string();
    let golden = golden_identity().public_key().to_string();
    let altered = |from: &str, to: &str| CHEAP.replacen(from, to, 1);
    let profile = Profile::new();
    for (text, expected) in [
        (altered("key 1\n", "key 2\n"), P::UnknownVersion),
        (altered("identity key 1\n", "server key 1\n"), P::Damaged),
        // Whoever puts another public key over the secret must not be believed.
        (altered(&golden, &other), P::WrongPassphrase),
        (altered("salt 00", "salt 01"), P::WrongPassphrase),
        (altered("nonce 64", "nonce 65"), P::WrongPassphrase),
        (altered("8 1 1", "9 1 1"), P::WrongPassphrase),
        (altered("8 1 1", "8 2 1"), P::WrongPassphrase),
        // Less than Argon2 has.
        (altered("8 1 1", "7 1 1"), P::Damaged),
        (altered("8 1 1", "8 0 1"), P::Damaged),
        (altered("8 1 1", "8 1 2"), P::Damaged),
        // A hundred GiB, and each limit.
        (altered("8 1 1", "104857600 1 1"), P::TooCostly),
        (altered("8 1 1", "262145 1 1"), P::TooCostly),
        (altered("8 1 1", "8 13 1"), P::TooCostly),
        (altered("8 1 1", "40 1 5"), P::TooCostly),
        (altered("8 1 1", "4294967296 1 1"), P::Damaged),
        // Other forms of the same.
        (altered("8 1 1", "08 1 1"), P::Damaged),
        (altered("8 1 1", "+8 1 1"), P::Damaged),
        (altered("8 1 1", "8 1 1 1"), P::Damaged),
        (altered("0e0f", "0E0F"), P::Damaged),
        (altered("\n", "\r\n"), P::Damaged),
    ] {
        profile.put(Slot::Current, text.as_bytes(), 0o600);
        let problem = profile.open(Slot::Current, &passphrase(PASSPHRASE)).expect_err(&text);
        assert_eq!(discriminant(&problem), discriminant(&expected), "{problem:?}:\n{text}");
    }
    let mismatch = UNENCRYPTED.replacen("secret 9d", "secret 9e", 1);
    profile.put(Slot::Current, mismatch.as_bytes(), 0o600);
    let problem = profile.open(Slot::Current, &Protection::Nothing).expect_err("mismatch");
    assert!(matches!(problem, P::Damaged), "{problem:?}");
}

#[test]
fn a_key_that_others_may_reach_is_refused() {
    let profile = Profile::new();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o620, 0o601] {
        profile.put(Slot::Current, CHEAP.as_bytes(), mode);
        let error = load(&profile.dir, Slot::Current).expect_err("exposed");
        assert!(matches!(error.problem, KeyFileProblem::Exposed), "{mode:o}: {error:?}");
        assert_eq!(error.hint(), format!("chmod 600 {}", profile.path(Slot::Current).display()));
    }
}

#[test]
fn a_key_is_never_replaced_by_a_new_one() {
    let profile = Profile::new();
    let missing = load(&profile.dir, Slot::Current).expect_err("none yet");
    assert!(matches!(missing.problem, KeyFileProblem::Missing), "{missing:?}");
    for there in [CHEAP.as_bytes(), b"damaged"] {
        for slot in [Slot::Current, Slot::Next] {
            profile.put(slot, there, 0o600);
            let error = profile.create(slot, &new_identity()).expect_err("it is there");
            assert!(matches!(error.problem, KeyFileProblem::Exists), "{error:?}");
            assert_eq!(fs::read(profile.path(slot)).expect("there"), there);
        }
    }
}

/// A rotation that is killed at any point leaves at least the key that the server knows.
#[test]
fn a_rotation_can_end_at_every_step() {
    let profile = Profile::new();
    let (old, new) = (new_identity(), new_identity());
    let public = |key: LockedKey| {
        key.unlock(&passphrase(PASSPHRASE)).expect("the passphrase is right").public_key()
    };
    let keys = || {
        let keys = load_all(&profile.dir).expect("usable");
        (public(keys.current), keys.next.map(public))
    };
    profile.create(Slot::Current, &old).expect("kept");
    assert_eq!(keys(), (old.public_key(), None));

    // Before the server has heard of it.
    profile.create(Slot::Next, &new).expect("kept");
    assert_eq!(keys(), (old.public_key(), Some(new.public_key())));
    let next = profile.open(Slot::Next, &passphrase(PASSPHRASE)).expect("usable before it counts");
    assert_eq!(next.seed(), new.seed());

    // The server has taken it.
    promote_next(&profile.dir).expect("renamed");
    assert_eq!(keys(), (new.public_key(), None));
    let current = profile.open(Slot::Current, &passphrase(PASSPHRASE)).expect("the new key");
    assert_eq!(current.seed(), new.seed());
}

#[test]
fn only_a_usable_key_is_promoted() {
    let profile = Profile::new();
    profile.create(Slot::Current, &golden_identity()).expect("kept");
    let before = fs::read(profile.path(Slot::Current)).expect("there");
    let refused = |profile: &Profile| {
        promote_next(&profile.dir).expect_err("not usable");
        assert_eq!(fs::read(profile.path(Slot::Current)).expect("there"), before);
    };
    refused(&profile);
    profile.put(Slot::Next, b"damaged", 0o600);
    refused(&profile);
    load_all(&profile.dir).expect_err("a damaged one is not passed over");
    profile.put(Slot::Next, CHEAP.as_bytes(), 0o644);
    refused(&profile);
}

#[test]
fn each_problem_is_a_line_with_a_hint() {
    let path = Path::new("/p/identity.key");
    for problem in [
        KeyFileProblem::Missing,
        KeyFileProblem::Exists,
        KeyFileProblem::Exposed,
        KeyFileProblem::Damaged,
        KeyFileProblem::UnknownVersion,
        KeyFileProblem::TooCostly,
        KeyFileProblem::WrongPassphrase,
        KeyFileProblem::Encrypted,
        KeyFileProblem::NotEncrypted,
        KeyFileProblem::Io(io::ErrorKind::StorageFull.into()),
    ] {
        let error = KeyFileError { path: path.into(), problem };
        let text = error.to_string();
        assert!(text.starts_with("cannot use the key /p/identity.key: "), "{text}");
        assert!(!text.contains('\n') && !error.hint().is_empty(), "{text}");
    }
}

#[test]
fn debug_shows_no_secret() {
    for text in [CHEAP, UNENCRYPTED] {
        let file = KeyFile::parse(text.as_bytes()).expect("a key");
        assert_eq!(format!("{file:?}"), "KeyFile(11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo)");
    }
}
