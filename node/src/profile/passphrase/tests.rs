use std::collections::VecDeque;
use std::fs;
use std::mem::discriminant;

use tempfile::NamedTempFile;

use super::*;

const LONG: &str = "correct horse";

/// A person whose answers are known beforehand.
#[derive(Default)]
struct Person {
    answers: VecDeque<io::Result<String>>,
    asked: Vec<String>,
    complaints: Vec<String>,
}

impl Person {
    fn answering(answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| Ok((*answer).to_owned())).collect();
        Self { answers, ..Self::default() }
    }

    fn failing(kind: io::ErrorKind) -> Self {
        Self { answers: [Err(kind.into())].into(), ..Self::default() }
    }
}

impl Prompt for Person {
    fn is_possible(&self) -> bool {
        !self.answers.is_empty()
    }

    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        self.asked.push(question.to_owned());
        self.answers.pop_front().expect("no more questions").map(Zeroizing::new)
    }

    fn complain(&mut self, complaint: &str) {
        self.complaints.push(complaint.to_owned());
    }
}

fn file(content: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), content).expect("written");
    file
}

fn in_file(file: &NamedTempFile) -> Sources {
    Sources { file: Some(file.path().into()), ..Sources::default() }
}

fn in_environment(value: &[u8]) -> Sources {
    Sources { environment: Some(Zeroizing::new(value.to_vec())), ..Sources::default() }
}

/// What comes out, with nobody at the terminal.
fn obtained(sources: &Sources, purpose: Purpose) -> Result<Option<String>, PassphraseError> {
    asked(sources, purpose, &mut Person::default())
}

fn asked(
    sources: &Sources,
    purpose: Purpose,
    person: &mut Person,
) -> Result<Option<String>, PassphraseError> {
    Ok(match sources.obtain(purpose, person)? {
        Protection::Passphrase(passphrase) => Some(passphrase.0.to_string()),
        Protection::Nothing => None,
    })
}

#[test]
fn one_place_goes_before_the_other() {
    let file = file(b"of the file");
    for (has_file, none, in_environment, at_terminal, expected) in [
        (true, false, true, true, Some("of the file")),
        (false, true, true, true, None),
        (false, false, true, true, Some("of the environment")),
        (false, false, false, true, Some("of the person")),
    ] {
        let sources = Sources {
            file: has_file.then(|| file.path().into()),
            none,
            environment: in_environment.then(|| Zeroizing::new(b"of the environment".to_vec())),
        };
        let answers = if at_terminal { &["of the person"; 2][..] } else { &[] };
        for purpose in [Purpose::NewKey, Purpose::OldKey] {
            let mut person = Person::answering(answers);
            let obtained = asked(&sources, purpose, &mut person).expect("a protection");
            assert_eq!(obtained.as_deref(), expected);
            assert_eq!(person.asked.is_empty(), expected != Some("of the person"));
        }
    }
}

/// Without a word of the owner, no key is kept unencrypted.
#[test]
fn no_source_is_an_error_that_lists_them_all() {
    for purpose in [Purpose::NewKey, Purpose::OldKey] {
        let error = obtained(&Sources::default(), purpose).expect_err("nobody to ask");
        assert!(matches!(error, PassphraseError::NoSource), "{error:?}");
        for way in ["--passphrase-file", "MITE_PASSPHRASE", "terminal", "--no-passphrase"] {
            assert!(error.hint().contains(way), "{way}");
        }
    }
}

#[test]
fn a_file_and_none_contradict_each_other() {
    let file = file(LONG.as_bytes());
    let sources = Sources { none: true, ..in_file(&file) };
    let error = obtained(&sources, Purpose::OldKey).expect_err("which?");
    assert!(matches!(error, PassphraseError::Contradiction), "{error:?}");
}

#[test]
fn the_first_line_of_a_file_without_its_end() {
    for (content, expected) in [
        (&b"correct horse"[..], "correct horse"),
        (b"correct horse\n", "correct horse"),
        (b"correct horse\r\n", "correct horse"),
        (b"correct horse\nbattery\n", "correct horse"),
        (b"correct horse\n\xff", "correct horse"),
        (b" correct horse \n", " correct horse "),
        ("grüß dich".as_bytes(), "grüß dich"),
        (&[b'x'; BYTES_MAX], &"x".repeat(BYTES_MAX)),
        (&[&[b'x'; BYTES_MAX][..], b"\r\n"].concat(), &"x".repeat(BYTES_MAX)),
    ] {
        let file = file(content);
        let obtained = obtained(&in_file(&file), Purpose::NewKey).expect("a passphrase");
        assert_eq!(obtained.as_deref(), Some(expected));
    }
}

#[test]
fn what_is_no_passphrase() {
    let too_long = [b'x'; BYTES_MAX + 1];
    let table: [(&[u8], PassphraseError); 4] = [
        (b"", PassphraseError::Empty(String::new())),
        (b"\xff\xfe", PassphraseError::NotText(String::new())),
        (&too_long, PassphraseError::NotText(String::new())),
        (&[b'x'; 5000], PassphraseError::NotText(String::new())),
    ];
    for (content, expected) in table {
        let file = file(content);
        for sources in [in_file(&file), in_environment(content)] {
            let error = obtained(&sources, Purpose::OldKey).expect_err("no passphrase");
            assert_eq!(discriminant(&error), discriminant(&expected), "{error:?}");
        }
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = file(LONG.as_bytes());
    for mode in [0o644, 0o640, 0o604, 0o660] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("set");
        let error = obtained(&in_file(&file), Purpose::OldKey).expect_err("exposed");
        assert!(matches!(error, PassphraseError::FileExposed { .. }), "{mode:o}: {error:?}");
    }
    let missing = Sources { file: Some("/does/not/exist".into()), ..Sources::default() };
    let error = obtained(&missing, Purpose::OldKey).expect_err("missing");
    assert!(matches!(error, PassphraseError::FileUnreadable { .. }), "{error:?}");
}

/// Only for a new key: a rule that comes later must not lock anybody out.
#[test]
fn a_new_key_takes_eight_characters() {
    let seven = "ßßßßßßß";
    let eight = "ßßßßßßßß";
    let files = [file(seven.as_bytes()), file(eight.as_bytes())];
    for (text, file, is_enough) in [(seven, &files[0], false), (eight, &files[1], true)] {
        for sources in [in_file(file), in_environment(text.as_bytes())] {
            let new = obtained(&sources, Purpose::NewKey);
            assert_eq!(new.is_ok(), is_enough, "{new:?}");
            if let Err(error) = new {
                assert!(matches!(error, PassphraseError::TooShort), "{error:?}");
                assert!(error.to_string().contains("guess"), "it gives no reason: {error}");
            }
            assert_eq!(obtained(&sources, Purpose::OldKey).expect("any").as_deref(), Some(text));
        }
    }
}

#[test]
fn a_person_is_asked_once_for_an_old_key_and_twice_for_a_new_one() {
    for (purpose, answers, questions, complaints) in [
        (Purpose::OldKey, &[LONG][..], 1, 0),
        (Purpose::NewKey, &[LONG, LONG], 2, 0),
        (Purpose::NewKey, &[LONG, "corect horse", LONG, LONG], 4, 1),
        (Purpose::NewKey, &["short", "", LONG, LONG], 4, 2),
    ] {
        let mut person = Person::answering(answers);
        let obtained = asked(&Sources::default(), purpose, &mut person).expect("a passphrase");
        assert_eq!(obtained.as_deref(), Some(LONG));
        assert_eq!((person.asked.len(), person.complaints.len()), (questions, complaints));
    }
}

#[test]
fn a_person_is_not_asked_for_ever() {
    let table: [(&[&str], PassphraseError); 2] = [
        (&["a"; 9], PassphraseError::TooShort),
        (&[LONG, "other one", LONG, "other one", LONG, "other one"], PassphraseError::Different),
    ];
    for (answers, expected) in table {
        let mut person = Person::answering(answers);
        let error = asked(&Sources::default(), Purpose::NewKey, &mut person).expect_err("given up");
        assert_eq!(discriminant(&error), discriminant(&expected), "{error:?}");
        assert_eq!(person.complaints.len(), QUESTIONS_MAX - 1);
    }
}

#[test]
fn a_person_may_say_nothing() {
    let table: [(io::ErrorKind, PassphraseError); 3] = [
        (io::ErrorKind::Interrupted, PassphraseError::Cancelled),
        (io::ErrorKind::UnexpectedEof, PassphraseError::Cancelled),
        (io::ErrorKind::NotFound, PassphraseError::Terminal(io::ErrorKind::NotFound.into())),
    ];
    for (kind, expected) in table {
        for purpose in [Purpose::NewKey, Purpose::OldKey] {
            let mut person = Person::failing(kind);
            let error = asked(&Sources::default(), purpose, &mut person).expect_err("no answer");
            assert_eq!(discriminant(&error), discriminant(&expected), "{error:?}");
        }
    }
    let mut person = Person::answering(&["x".repeat(BYTES_MAX + 1).as_str()]);
    let error = asked(&Sources::default(), Purpose::OldKey, &mut person).expect_err("too long");
    assert!(matches!(error, PassphraseError::NotText(_)), "{error:?}");
}

#[test]
fn debug_shows_no_secret() {
    let sources = in_environment(LONG.as_bytes());
    let protection = sources.obtain(Purpose::NewKey, &mut Person::default()).expect("a passphrase");
    assert_eq!(format!("{protection:?}"), "Passphrase(Passphrase(..))");
    let shown = format!("{sources:?}");
    assert!(shown.ends_with("environment: Some(\"..\") }"), "{shown}");
}
