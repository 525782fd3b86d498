use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::profile::probe::profile;

/// Frozen: files like this are in use.
const GOLDEN: &str = "mite known keys 1\n\
    server 127.0.0.1:8000 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE 2026-11-23T06:35:58Z\n\
    server [::1]:8000 BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ 1970-01-01T00:00:00Z\n";

struct Profile {
    dir: Arc<ProfileDirectory>,
    _root: TempDir,
}

impl Profile {
    fn new() -> Self {
        let (dir, root) = profile();
        Self { dir, _root: root }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE_NAME)
    }

    fn put(&self, bytes: &[u8], mode: u32) {
        fs::write(self.path(), bytes).expect("written");
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).expect("set");
    }

    fn load(&self) -> Result<KnownKeys, KnownKeysError> {
        KnownKeys::load(Arc::clone(&self.dir))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("there")
    }
}

fn key(number: u8) -> PublicKey {
    PublicKey::new([number; 32])
}

fn address(text: &str) -> ServerAddress {
    text.parse().expect("an address")
}

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).expect("a time")
}

/// Any time that is not looked at.
fn now() -> SystemTime {
    at("2026-11-23T06:35:59Z")
}

#[test]
fn golden_file() {
    let profile = Profile::new();
    let mut known = profile.load().expect("an empty list");
    known.remember_server(&address("[::1]:8000"), &key(4), UNIX_EPOCH).expect("kept");
    known
        .remember_server(&address("127.0.0.1:8000"), &key(1), at("2026-11-23T06:35:58.9Z"))
        .expect("kept");
    assert_eq!(profile.text(), GOLDEN);
    assert_eq!(fs::metadata(profile.path()).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(profile.load().expect("readable").known, known.known);
}

#[test]
fn a_changed_key_is_found_after_a_restart() {
    let profile = Profile::new();
    profile.put(GOLDEN.as_bytes(), 0o600);
    let known = profile.load().expect("readable");
    let changed = |number, since| Trust::Changed { known: key(number), since: at(since).into() };
    for (server, number, expected) in [
        ("127.0.0.1:8000", 1, Trust::Known),
        ("127.0.0.1:8000", 4, changed(1, "2026-11-23T06:35:58Z")),
        ("127.0.0.1:8001", 1, Trust::New),
        ("localhost:8000", 1, Trust::New),
        ("[0:0:0:0:0:0:0:1]:8000", 4, Trust::Known),
    ] {
        assert_eq!(known.check_server(&address(server), &key(number)), expected, "{server}");
    }
}

#[test]
fn a_known_key_is_replaced_only_after_it_was_forgotten() {
    let profile = Profile::new();
    let mut known = profile.load().expect("an empty list");
    let server = address("mite.example:8000");
    known.remember_server(&server, &key(1), now()).expect("kept");
    let before = profile.text();

    known.remember_server(&server, &key(1), at("2027-01-01T00:00:00Z")).expect("known");
    match known.remember_server(&server, &key(9), now()) {
        Err(KnownKeysError::Conflict { known, .. }) => assert_eq!(known, key(1)),
        other => panic!("{other:?}"),
    }
    assert_eq!(profile.text(), before);

    assert!(known.forget_server(&server).expect("forgotten"));
    assert!(!known.forget_server(&server).expect("nothing to forget"));
    known.remember_server(&server, &key(9), now()).expect("kept");
    let again = profile.load().expect("readable");
    assert_eq!(again.check_server(&server, &key(9)), Trust::Known);
}

/// What could not be written is not trusted either.
#[test]
fn a_failed_write_changes_nothing() {
    let profile = Profile::new();
    let mut known = profile.load().expect("an empty list");
    fs::create_dir(profile.path()).expect("in the way");
    let server = address("mite.example:8000");
    let error = known.remember_server(&server, &key(1), now()).expect_err("in the way");
    assert!(matches!(error, KnownKeysError::Unusable { .. }), "{error:?}");
    assert_eq!(known.check_server(&server, &key(1)), Trust::New);
}

/// A list that is read in part would trust a man in the middle at his first contact.
#[test]
fn damage_is_found_named_and_left_as_it_is() {
    use LineProblem as P;
    let line = "server 127.0.0.1:8000 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE \
                2026-11-23T06:35:58Z\n";
    let altered = |from, to| GOLDEN.replacen(from, to, 1);
    for (text, number, expected) in [
        (String::new(), 1, P::NotAList),
        ("mite known keys 1".into(), 1, P::NotAList),
        (altered("mite known keys", "mite server key"), 1, P::NotAList),
        (altered("keys 1", "keys 2"), 1, P::UnknownVersion),
        (altered("keys 1\n", "keys 1\r\n"), 1, P::NotAList),
        (altered("keys 1\n", "keys 1\n\n"), 2, P::Malformed),
        (altered("keys 1\n", "keys 1\n# mine\n"), 2, P::Malformed),
        (altered("server 1", "peer 1"), 2, P::Malformed),
        (altered("server 1", "server  1"), 2, P::Malformed),
        (altered("server 1", "1"), 2, P::Malformed),
        (altered("AQEB", "AQE"), 2, P::Malformed),
        (altered("AQEB", "Aw+D"), 2, P::Malformed),
        (altered("06:35:58Z", "06:35:61Z"), 2, P::Malformed),
        (altered("06:35:58Z", "06:35:58Z 1"), 2, P::Malformed),
        (altered("127.0.0.1:8000", "127.0.0.1"), 2, P::Malformed),
        (altered("[::1]", "[0::1]"), 3, P::Malformed),
        (altered("[::1]", "Mite.example"), 3, P::Malformed),
        (format!("{GOLDEN}{line}"), 4, P::Twice),
        (GOLDEN.trim_end().into(), 3, P::NoEnd),
        (format!("{GOLDEN}server {}\n", "x".repeat(LINE_BYTES_MAX)), 4, P::TooLong),
    ] {
        let profile = Profile::new();
        profile.put(text.as_bytes(), 0o600);
        let error = profile.load().expect_err(&text);
        let shown = format!("{}, line {number}: {expected}", profile.path().display());
        assert_eq!(error.to_string(), shown, "{text}");
        assert!(matches!(error, KnownKeysError::Damaged { .. }), "{error:?}");
        assert_eq!(profile.text(), text);
    }
    let profile = Profile::new();
    profile.put(&[GOLDEN.as_bytes(), b"server \xff\n"].concat(), 0o600);
    let error = profile.load().expect_err("not UTF-8");
    assert!(matches!(error, KnownKeysError::Damaged { line: 4, .. }), "{error:?}");
}

#[test]
fn a_list_that_others_may_write_is_refused() {
    let profile = Profile::new();
    for (mode, is_refused) in [(0o620, true), (0o602, true), (0o666, true), (0o644, false)] {
        profile.put(GOLDEN.as_bytes(), mode);
        let is_exposed = matches!(profile.load(), Err(KnownKeysError::Exposed { .. }));
        assert_eq!(is_exposed, is_refused, "{mode:o}");
    }
}

#[test]
fn the_list_has_an_end() {
    let profile = Profile::new();
    let lines = |count: usize| {
        let line = |number| format!("server 127.0.0.1:{number} {} 2026-11-23T06:35:58Z\n", key(1));
        let lines: String = (1..=count).map(line).collect();
        format!("mite known keys 1\n{lines}")
    };
    profile.put(lines(KEYS_MAX).as_bytes(), 0o600);
    let mut known = profile.load().expect("just full");
    let new = address("mite.example:8000");
    let error = known.remember_server(&new, &key(1), now()).expect_err("full");
    assert!(matches!(error, KnownKeysError::Full { .. }), "{error:?}");
    assert!(known.forget_server(&address("127.0.0.1:1")).expect("forgotten"));
    known.remember_server(&new, &key(1), now()).expect("room again");

    profile.put(lines(KEYS_MAX + 1).as_bytes(), 0o600);
    let error = profile.load().expect_err("too long");
    match error {
        KnownKeysError::Damaged { line, problem, .. } => {
            assert_eq!((line, problem), (KEYS_MAX + 2, LineProblem::TooLong));
        }
        other => panic!("{other:?}"),
    }
}

/// The longest line that can be written can be read.
#[test]
fn the_longest_line_has_a_place() {
    let profile = Profile::new();
    let mut known = profile.load().expect("an empty list");
    let host = "h".repeat(HOST_BYTES_MAX);
    let server = address(&format!("{host}:65535"));
    known.remember_server(&server, &key(1), now()).expect("kept");
    let again = profile.load().expect("readable");
    assert_eq!(again.check_server(&server, &key(1)), Trust::Known);
}

#[test]
fn an_address_has_one_form_and_no_white_space() {
    for (text, expected) in [
        ("127.0.0.1:8000", Some("127.0.0.1:8000")),
        ("LocalHost:8000", Some("localhost:8000")),
        ("[0:0::0001]:8000", Some("[::1]:8000")),
        ("[FE80::1]:80", Some("[fe80::1]:80")),
        ("host:080", Some("host:80")),
        ("a\tb:80", None),
        ("a\nserver b:80", None),
        ("a\u{a0}b:80", None),
        ("a\u{1b}b:80", None),
        ("host", None),
    ] {
        let parsed = text.parse::<ServerAddress>().ok().map(|address| address.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }
    assert_eq!(format!("{}:1", "h".repeat(256)).parse::<ServerAddress>(), Err(HostPortError));
}

#[test]
fn a_clock_that_is_wrong_is_written_all_the_same() {
    for (time, expected) in [
        (UNIX_EPOCH - Duration::from_secs(1), "1970-01-01T00:00:00Z"),
        (UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1), "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(FirstSeen::from(time).to_string(), expected);
    }
}
