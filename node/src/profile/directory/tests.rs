use super::*;

fn name(text: &str) -> ProfileName {
    ProfileName::from(&text.parse::<Username>().expect("a name"))
}

fn open(config_dir: &Path) -> Result<ProfileDirectory, DirectoryError> {
    ProfileDirectory::open(config_dir, &name("alice"))
}

fn permissions(path: &Path) -> u32 {
    mode(path).expect("there") & 0o777
}

#[test]
fn names_stay_in_their_directory() {
    for (text, expected) in [
        ("alice", "alice"),
        ("a_b-9", "a_b-9"),
        ("Alice", "%41lice"),
        (".", "%2e"),
        ("..", "%2e%2e"),
        ("../bob", "%2e%2e%2fbob"),
        ("/etc", "%2fetc"),
        ("a%41", "a%2541"),
        ("a+b", "a%2bb"),
        ("grüße", "gr+0000fc+0000dfe"),
        ("u\u{308}", "u+000308"),
        ("你好", "+004f60+00597d"),
        ("\u{10ffff}", "+10ffff"),
    ] {
        assert_eq!(name(text).0, expected, "{text:?}");
    }
    // NAME_MAX of Linux and macOS.
    assert!(name(&"\u{10ffff}".repeat(32)).0.len() <= 255);
}

#[test]
fn the_directory_is_made_for_its_owner_alone() {
    let root = tempfile::tempdir().expect("a directory");
    let config_dir = root.path().join("deep/config");
    let dir = open(&config_dir).expect("a profile");
    assert_eq!(dir.path(), config_dir.join("profiles/alice"));
    for path in [dir.path(), &config_dir.join("profiles"), &config_dir] {
        assert_eq!(permissions(path), 0o700, "{}", path.display());
    }
    assert_eq!(permissions(&dir.path().join(LOCK_NAME)), 0o600);
    assert!(dir.is_new().expect("readable"));
    dir.create("a", b"1").expect("made");
    assert!(!dir.is_new().expect("readable"));
    drop(dir);
    let again = open(&config_dir).expect("the same");
    assert_eq!(*again.read("a", 9).expect("there").bytes, b"1");
}

/// Two clients with one outbox would each take the other's orders for lost ones.
#[test]
fn one_client_at_a_time() {
    let root = tempfile::tempdir().expect("a directory");
    let first = open(root.path()).expect("a profile");
    let refused = open(root.path()).expect_err("in use");
    assert!(matches!(refused, DirectoryError::Locked { .. }), "{refused:?}");
    ProfileDirectory::open(root.path(), &name("bob")).expect("another profile");
    drop(first);
    open(root.path()).expect("free again");
}

#[test]
fn a_directory_that_others_reach_is_refused() {
    for exposed in ["profiles/alice", "profiles"] {
        for mode in [0o755, 0o710, 0o702] {
            let root = tempfile::tempdir().expect("a directory");
            drop(open(root.path()).expect("a profile"));
            let path = root.path().join(exposed);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            match open(root.path()) {
                Err(error @ DirectoryError::Exposed { .. }) => {
                    assert_eq!(error.hint(), format!("chmod 700 {}", path.display()));
                }
                other => panic!("{exposed} {mode:o}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_directory_that_is_a_file_is_unusable() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = open(file.path()).expect_err("no directory");
    assert!(matches!(error, DirectoryError::Unusable { .. }), "{error:?}");
}

/// A crash before the rename would leave a key, perhaps an unencrypted one, under a name that
/// nobody looks at.
#[test]
fn what_a_crash_left_unfinished_is_removed() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = open(root.path()).expect("a profile");
    dir.create("a", b"1").expect("made");
    let (_, unfinished) = dir.unfinished(b"secret").expect("made").keep().expect("kept");
    assert!(unfinished.exists());
    drop(dir);
    let dir = open(root.path()).expect("the same");
    assert!(!unfinished.exists());
    assert_eq!(*dir.read("a", 9).expect("there").bytes, b"1");
}

#[test]
fn files_are_the_owners_and_replaced_only_when_told() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = open(root.path()).expect("a profile");
    let content = |name| dir.read(name, 9).map(|file| file.bytes.to_vec());
    let kind = |result: io::Result<()>| result.expect_err("refused").kind();

    dir.create("a", b"1").expect("made");
    assert_eq!(permissions(&dir.path().join("a")), 0o600);
    assert_eq!(kind(dir.create("a", b"2")), io::ErrorKind::AlreadyExists);
    assert_eq!(content("a").expect("there"), b"1");
    dir.replace("a", b"2").expect("replaced");
    assert_eq!(permissions(&dir.path().join("a")), 0o600);
    dir.create("b", b"3").expect("made");
    dir.rename("b", "a").expect("renamed");
    assert_eq!(content("a").expect("there"), b"3");
    assert_eq!(kind(dir.rename("b", "a")), io::ErrorKind::NotFound);
    fs::remove_file(dir.path().join("a")).expect("removed");
    assert_eq!(content("a").expect_err("gone").kind(), io::ErrorKind::NotFound);
    assert!(dir.is_new().expect("readable"), "something is left");
}

#[test]
fn a_long_file_is_read_to_one_byte_more() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = open(root.path()).expect("a profile");
    dir.create("a", b"12345").expect("made");
    for (bytes_max, expected) in [(6, &b"12345"[..]), (5, b"12345"), (4, b"12345"), (2, b"123")] {
        assert_eq!(*dir.read("a", bytes_max).expect("there").bytes, expected, "{bytes_max}");
    }
}
