//! The key of a client at rest: who can read it, what opens it, and that one program at a time uses it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bip39::Mnemonic;
use tests::listener;
use tests::person::Person;
use tests::process::{Ended, Program, Server};
use tests::profile::{Profile, words};

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const PASSPHRASE: &str = "correct horse battery";

/// Nobody is there: what is wrong with a profile is said before anybody is asked.
fn nowhere() -> SocketAddr {
    listener::closed_address()
}

fn passphrase_file(dir: &Path, passphrase: &str) -> String {
    let file = dir.join("passphrase");
    fs::write(&file, format!("{passphrase}\n")).expect("the directory takes a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    file.to_str().expect("temporary paths are text").to_owned()
}

/// Ends with the code for a profile that cannot be used, an error with this text, and this hint.
fn expect_unusable(program: Program, error: &str, hint: &str) -> Ended {
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(5), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let [.., said, hinted] = &ended.stderr[..] else { panic!("two lines: {ended:?}") };
    assert!(said.starts_with("error: ") && said.contains(error), "{ended:?}");
    assert!(hinted.starts_with("hint: ") && hinted.contains(hint), "{ended:?}");
    ended
}

fn expect_leaves(mut program: Program) -> Ended {
    program.type_line("exit");
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    ended
}

/// The secret that these words are, as the files write bytes.
fn secret(words: &str) -> String {
    let entropy = words.parse::<Mnemonic>().expect("24 words").to_entropy();
    hex(&entropy)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every text");
    }
    text
}

/// Protects the key of whoever loses the disk: without the passphrase the file gives nothing away.
#[test]
fn a_key_with_a_passphrase_is_encrypted_and_opens_with_it_alone() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(MITE, data.path(), &[]);
    let profile = Profile::new("alice");
    let right = passphrase_file(profile.config(), PASSPHRASE);
    let protected = ["--passphrase-file", &right, "--p2p-port", "0"];
    let mut alice = profile.launch(MITE, server.address, &protected);
    let secret = secret(&words(&alice));
    alice.type_line("register alice");
    alice.line_with("registered alice");
    alice.type_line("id");
    let own = alice.line_with("your key");
    expect_leaves(alice);

    let written = profile.read("identity.key");
    assert!(written.contains("argon2id"), "{written}");
    assert!(!written.contains(&secret), "the secret lies open");
    assert!(own.ends_with(written.lines().nth(1).expect("it").trim_start_matches("public ")));
    for file in ["identity.key", "known.keys", "wallet.redb"] {
        let mode = fs::metadata(profile.file(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
        let bytes = fs::read(profile.file(file)).expect("a file");
        assert!(!hex(&bytes).contains(&secret), "the secret lies open in {file}");
    }
    for directory in [profile.file(""), profile.config().join("profiles")] {
        let mode = fs::metadata(&directory).expect("a directory").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", directory.display());
    }

    // The same passphrase from the environment, and other ones.
    let env = [("MITE_PASSPHRASE", PASSPHRASE)];
    let mut again = profile.launch_with_env(MITE, server.address, &["--p2p-port", "0"], &env);
    again.type_line("id");
    assert_eq!(again.line_with("your key"), own);
    assert!(again.line_with("your account").ends_with("alice, balance: 1000"));
    expect_leaves(again);
    let before = profile.read("identity.key");
    let env = [("MITE_PASSPHRASE", "correct horse batterz")];
    let wrong = profile.launch_with_env(MITE, nowhere(), &[], &env);
    expect_unusable(wrong, "the passphrase is wrong", "recovery phrase");
    let none = profile.launch(MITE, nowhere(), &["--no-passphrase"]);
    expect_unusable(none, "the key is encrypted", "leave --no-passphrase out");
    let silent = profile.launch(MITE, nowhere(), &[]);
    expect_unusable(silent, "no passphrase for the key", "--passphrase-file");
    assert_eq!(profile.read("identity.key"), before);
}

/// Protects whoever believes to have a passphrase: one that others can read, or guess, is refused, and no
/// key is made.
#[test]
fn a_passphrase_that_protects_nothing_is_refused() {
    let profile = Profile::new("alice");
    let file = passphrase_file(profile.config(), PASSPHRASE);
    let given = ["--passphrase-file", &file];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let exposed = profile.launch(MITE, nowhere(), &given);
    expect_unusable(exposed, "others than its owner", &format!("chmod 600 {file}"));
    for (passphrase, error) in [("short", "too short"), ("", "is empty")] {
        passphrase_file(profile.config(), passphrase);
        let program = profile.launch(MITE, nowhere(), &given);
        expect_unusable(program, error, "");
    }
    let both = profile.launch(MITE, nowhere(), &[&given[..], &["--no-passphrase"]].concat());
    expect_unusable(both, "contradict", "leave one of them out");
    let missing = profile.launch(MITE, nowhere(), &["--passphrase-file", "/nowhere/at/all"]);
    expect_unusable(missing, "cannot read the passphrase file", "--passphrase-file");
    let silent = profile.launch(MITE, nowhere(), &[]);
    expect_unusable(silent, "no passphrase for the key", "--no-passphrase");
    assert!(!profile.file("identity.key").exists(), "a key was made");
}

/// Protects the one who wants no passphrase from somebody who puts a key of their own there, and keeps the
/// test above honest: without a passphrase the secret is there to be found.
#[test]
fn a_key_without_a_passphrase_is_used_only_if_that_is_said() {
    let profile = Profile::new("alice");
    let alice = Person::start_on(profile, MITE, nowhere(), &[]);
    let secret = secret(&alice.words());
    let (profile, _) = alice.leave();
    assert!(profile.read("identity.key").contains(&secret));
    let silent = profile.launch(MITE, nowhere(), &[]);
    expect_unusable(silent, "the key is not encrypted", "--no-passphrase");
    let file = passphrase_file(profile.config(), PASSPHRASE);
    let protected = profile.launch(MITE, nowhere(), &["--passphrase-file", &file]);
    expect_unusable(protected, "the key is not encrypted", "--no-passphrase");

    fs::set_permissions(profile.file("identity.key"), fs::Permissions::from_mode(0o644))
        .expect("it is ours");
    let exposed = profile.launch(MITE, nowhere(), &["--no-passphrase"]);
    expect_unusable(exposed, "others than its owner may read it", "chmod 600");
    fs::remove_file(profile.file("identity.key")).expect("it is ours");
    // A wallet without its key is no newcomer's.
    fs::write(profile.file("wallet.redb"), "a past").expect("it is ours");
    let lost = profile.launch(MITE, nowhere(), &["--no-passphrase"]);
    expect_unusable(lost, "the file is missing", "recovery phrase");
}

/// Protects the outbox: two programs would each believe that they alone decide what is sent.
#[test]
fn one_program_at_a_time_works_in_a_profile() {
    let alice = Person::start(MITE, nowhere(), "alice");
    alice.words();
    let second = alice.profile.launch(MITE, nowhere(), &["--no-passphrase"]);
    let hint = "stop the other client, or take another profile with --profile NAME";
    expect_unusable(second, "is in use by another client", hint);
    // However the first one ends, the next one may work there.
    let alice = alice.crash();
    let (profile, _) = alice.leave();
    expect_leaves(profile.launch(MITE, nowhere(), &["--no-passphrase"]));
}

/// Protects the very first minute, in which nobody has written the words down yet: wherever the program is
/// ended, the key that is there the next time is one whose words were shown.
#[test]
fn a_crash_at_the_first_start_costs_nothing() {
    for _ in 0..5 {
        let alice = Person::start(MITE, nowhere(), "alice");
        let shown = secret(&alice.words());
        let (profile, ended) = alice.crash().leave();
        let kept = profile.read("identity.key");
        if kept.contains(&shown) {
            assert!(ended.stderr.is_empty(), "another key was made: {ended:?}");
        } else {
            // It ended between the words and the key; then there are new ones.
            let lines = ended.stderr.iter().filter(|line| line.starts_with("    "));
            let words: Vec<_> = lines.flat_map(|line| line.split_whitespace()).collect();
            assert!(kept.contains(&secret(&words.join(" "))), "{ended:?}");
        }
    }
}
