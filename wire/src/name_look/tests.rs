use proptest::prelude::*;

use super::*;

fn clash(one: &str, other: &str) -> bool {
    let look = |text: &str| NameLook::of(&text.parse::<Username>().expect("a valid name"));
    let (one, other) = (look(one), look(other));
    assert_eq!(one.clashes(&other), other.clashes(&one));
    one.clashes(&other)
}

#[test]
fn disguises_clash() {
    for (name, disguise) in [
        ("alice", "alice"),
        ("alice", "Alice"),
        ("alice", "ALICE"),
        ("alice", "aIice"), // a capital I
        ("alice", "a1ice"), // a one
        ("alice", "a|ice"), // a bar
        ("aIice", "aiice"), // the capital I is an i, too
        ("ALICE", "allce"),
        ("ALICE", "alice"),
        ("alice", "\u{430}lice"),   // Cyrillic а
        ("alice", "ａｌｉｃｅ"),    // wide
        ("alice", "𝐚𝐥𝐢𝐜𝐞"),         // of mathematics
        ("alice", "al\u{200b}ice"), // a space without width
        ("alice", "al\u{ad}ice"),   // a hyphen that hides
        ("alice", "al\u{131}ce"),   // i without its dot
        ("alice", "ali\u{307}ce"),  // i with another one
        ("alice", "AL\u{130}CE"),   // capital i with a dot
        ("paypal", "p\u{430}ypal"),
        ("bob", "b0b"),
        ("bob", "BOB"),
        ("bob", "\u{412}\u{41e}\u{412}"),         // Cyrillic ВОВ
        ("bob", "\u{392}\u{39f}\u{392}"),         // Greek ΒΟΒ
        ("mama", "\u{41c}\u{410}\u{41c}\u{410}"), // Cyrillic МАМА
        ("tito", "\u{422}\u{406}\u{422}\u{41e}"), // Cyrillic ТІТО
        ("TITO", "\u{422}\u{406}\u{422}\u{41e}"),
        ("coco", "\u{441}\u{43e}\u{441}\u{43e}"), // Cyrillic сосо
        ("mite", "rnite"),
        ("MITE", "rnite"),
        ("mite", "RNITE"),
        ("strasse", "straße"),
        ("straße", "STRASSE"),
        ("straße", "STRA\u{1e9e}E"), // capital ß
        ("σοφος", "ΣΟΦΟΣ"),
        ("σοφος", "σοφοσ"),
        ("Zoë", "zoe\u{308}"),
        ("Zoë", "ZOË"),
        ("o'neil", "o`neil"),
        ("o'neil", "o\u{2019}neil"),
        ("a-b", "a\u{2010}b"),
        ("жанна", "ЖАННА"),
        ("İstanbul", "istanbul"),
        ("İstanbul", "ISTANBUL"),
        ("نور1", "نور\u{661}"), // Arabic 1 looks like l, which looks like 1
        ("5%", "5\u{2105}".replace('\u{2105}', "\u{66a}").as_str()), // Arabic per cent
    ] {
        assert!(clash(name, disguise), "{name:?} {disguise:?}");
    }
}

/// The rule must leave people their names.
#[test]
fn different_names_do_not_clash() {
    for (one, other) in [
        ("alice", "alicia"),
        ("alice", "aiice"),
        ("alice", "alice_"),
        ("ali", "all"),
        ("lian", "ilan"),
        ("neil", "nell"),
        ("bob", "bobby"),
        ("zoe", "Zoë"),
        ("user1", "user2"),
        ("user10", "user01"),
        ("a-b", "a_b"),
        ("a.b", "ab"),
        ("-", "_"),
        ("жан", "jan"),
        ("やまだ", "ヤマダ"),
        ("김철수", "김철호"),
        ("r1x10", "r1x11"),
    ] {
        assert!(!clash(one, other), "{one:?} {other:?}");
    }
}

#[test]
fn keys_are_told_once() {
    for (name, expected) in [
        ("alice", &["alice"][..]),
        ("aIice", &["alice", "aiice"]),
        ("ТІТО", &["tlto", "ᴛiᴛo", "tito"]),
    ] {
        let look = NameLook::of(&name.parse::<Username>().expect("a valid name"));
        assert_eq!(look.keys().collect::<Vec<_>>(), expected, "{name:?}");
    }
}

/// Without this, a look could depend on [`ROUNDS_MAX`].
#[test]
fn every_character_settles_and_clashes_with_its_cases() {
    for c in '\0'..=char::MAX {
        let text = c.to_string();
        let caseless = c.to_uppercase().eq([c]) && c.to_lowercase().eq([c]);
        if caseless && text.nfkd().eq([c]) && skeleton(&text).eq([c]) {
            continue; // It is its own look.
        }
        let look = NameLook::of_any(&text);
        for key in look.keys() {
            assert_eq!(without_case(&skeleton(key).collect::<String>()), key, "{c:?}");
        }
        for other in [text.to_uppercase(), text.to_lowercase()] {
            assert!(look.clashes(&NameLook::of_any(&other)), "{c:?} {other:?}");
        }
        let shape: String = skeleton(&text).collect();
        assert!(look.clashes(&NameLook::of_any(&shape)), "{c:?} {shape:?}");
    }
}

/// Characters among which trouble is likelier than among all.
fn text() -> impl Strategy<Value = String> {
    let troublesome = prop::sample::select(
        "iIlL1|0oOmMrRnN\"`%jJßẞſςσΣıİ\u{307}\u{301}\u{323}\u{345}\u{308}\
         аАіІтТвВьЫαΑιΙᾳᾼϚϛⲊѴ\u{200d}\u{34f}ﬁ가ᄀ"
            .chars()
            .collect::<Vec<_>>(),
    );
    let c = prop_oneof![4 => troublesome, 1 => any::<char>(), 1 => prop::char::range('!', '~')];
    prop::collection::vec(c, 1..12).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn a_name_clashes_with_itself_in_other_cases_and_forms(text in text()) {
        let look = NameLook::of_any(&text);
        // Unicode defines the case of decomposed text alone: a mark behind `ᾳ` would get lost.
        let parts: String = text.nfd().collect();
        for other in [
            text.clone(),
            parts.to_uppercase(),
            parts.to_lowercase(),
            parts.to_uppercase().to_lowercase(),
            text.nfc().collect(),
            text.nfd().collect(),
            text.nfkc().collect(),
            skeleton(&text).collect(),
        ] {
            prop_assert!(look.clashes(&NameLook::of_any(&other)), "{:?} {:?}", text, other);
        }
    }

    #[test]
    fn clashes_are_mutual(one in text(), other in text()) {
        let (one, other) = (NameLook::of_any(&one), NameLook::of_any(&other));
        prop_assert_eq!(one.clashes(&other), other.clashes(&one));
    }

    #[test]
    fn the_short_way_leads_to_the_same_look(text in "[!-~]{1,32}") {
        if let Some(look) = NameLook::of_ascii(&text) {
            prop_assert_eq!(look, NameLook::of_any(&text));
        }
    }

    /// Bytes from a network cannot make a look take long: it is a few texts of bounded length.
    #[test]
    fn looks_are_short(text in any::<String>()) {
        let text: String = text.chars().take(crate::username::USERNAME_CHARS_MAX).collect();
        for key in NameLook::of_any(&text).keys() {
            prop_assert!(key.chars().count() <= 32 * text.chars().count());
        }
    }
}
