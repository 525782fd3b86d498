use super::*;
use crate::hex::from_hex;

/// Of the reference implementation of BIP-39. Frozen: words like these are written down on paper.
const GOLDEN: [(&str, &str); 3] = [
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon art",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount \
         doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
    ),
    (
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing \
         screen patrol group space point ten exist slush involve unfold",
    ),
];

#[test]
fn the_words_are_the_seed() {
    for (seed, words) in GOLDEN {
        let seed = from_hex(seed).expect("a seed");
        assert_eq!(Identity::from_seed(&seed).phrase().reveal().as_str(), words);
        assert_eq!(Identity::from_phrase(words).expect("a phrase").seed(), &*seed);
    }
}

/// The first test vector of RFC 8032, section 7.1: what a phrase restores is this key and no other.
#[test]
fn golden_key() {
    let seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let identity = Identity::from_seed(&seed.expect("a seed"));
    assert_eq!(identity.public_key().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(VerificationKeyBytes::from(identity.signing_key()), {
        VerificationKeyBytes::from(*identity.public_key().as_bytes())
    });
    let words = "output assault guess that stick core tube matter virus number arctic mass duty tired \
                 planet green harbor slide auction fix crack fire work arrive";
    assert_eq!(identity.phrase().reveal().as_str(), words);
    let restored = Identity::from_phrase(words).expect("a phrase");
    assert_eq!(restored.public_key(), identity.public_key());
}

#[test]
fn a_new_identity_is_nobody_elses() {
    let one = Identity::generate().expect("randomness");
    let other = Identity::generate().expect("randomness");
    assert_ne!(one.public_key(), other.public_key());
    let restored = Identity::from_phrase(&one.phrase().reveal()).expect("a phrase");
    assert_eq!(restored.public_key(), one.public_key());
}

#[test]
fn white_space_and_case_do_not_matter() {
    let (_, words) = GOLDEN[2];
    let expected = Identity::from_phrase(words).expect("a phrase").public_key();
    for typed in [
        words.to_uppercase(),
        format!("  {words}\r\n"),
        words.replace(' ', "\n"),
        words.replace(' ', " \t "),
    ] {
        let restored = Identity::from_phrase(&typed).expect("the same phrase");
        assert_eq!(restored.public_key(), expected, "{typed:?}");
    }
}

#[test]
fn what_is_wrong_with_the_words() {
    let (_, words) = GOLDEN[2];
    let unknown = |number| PhraseError::UnknownWord { number };
    for (typed, expected) in [
        (String::new(), PhraseError::Count(0)),
        (words.replacen("void ", "", 1), PhraseError::Count(23)),
        (format!("{words} void"), PhraseError::Count(25)),
        (words.replacen("void", "viod", 1), unknown(1)),
        (words.replacen("ten", "teen", 1), unknown(20)),
        (words.replacen("unfold", "unf", 1), unknown(24)),
        (words.replacen("unfold", "unfold.", 1), unknown(24)),
        // The first eight bytes of it are a word, or the middle of a character.
        (words.replacen("survey", "abstracted", 1), unknown(6)),
        (words.replacen("involve", &"absolutely".repeat(1000), 1), unknown(23)),
        (words.replacen("void", "sevenxxß", 1), unknown(1)),
        (words.replacen("void", "ＶＯＩＤ", 1), unknown(1)),
        (words.replacen("void", "come", 1), PhraseError::Checksum),
        (words.replacen("void come", "come void", 1), PhraseError::Checksum),
    ] {
        assert_eq!(Identity::from_phrase(&typed).expect_err(&typed), expected, "{typed:?}");
    }
}

/// An error is shown and logged: no word may be in it.
#[test]
fn nothing_shows_a_secret() {
    let (_, words) = GOLDEN[2];
    let identity = Identity::from_phrase(words).expect("a phrase");
    assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.public_key()));
    assert_eq!(format!("{:?}", identity.phrase()), "RecoveryPhrase(..)");
    let error = Identity::from_phrase(&words.replacen("void", "viod", 1)).expect_err("wrong");
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(words.split(' ').chain(["viod"]).all(|word| !shown.contains(word)), "{shown}");
}

/// A screen of 80 columns breaks none of these lines.
#[test]
fn words_are_shown_in_four_lines() {
    let words = format!("{}x", "abcdefgh ".repeat(23));
    let mut text = String::new();
    push_words(&mut text, &words);
    let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().count()).collect();
    assert_eq!(lines, [6; 4], "{text}");
    assert!(text.lines().all(|line| line.starts_with("    ") && line.len() < 80), "{text}");
    assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), words);
}
