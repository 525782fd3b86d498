use actors::messages::PaymentState;
use wire::secure::OrderProblem;

use super::fake::payment;
use super::*;

/// The asked messages that pay or change something.
fn done(ran: &Ran) -> Vec<&str> {
    let changes = |asked: &&str| asked.starts_with("pay ") || asked.starts_with("rotate ");
    ran.asked.iter().map(String::as_str).filter(changes).collect()
}

#[actix_rt::test]
async fn a_person_sees_at_once_who_is_who() {
    let ran = converse(Set::default(), &["exit"]).await;
    assert_eq!(
        ran.out,
        format!(
            "\x20 server's key  {}\n\
             \x20 your key      {}\n\
             \x20 your account  alice, balance: 990\n\
             goodbye\n",
            key(1),
            key(2)
        )
    );
    let ran = converse(Trouble::Stranger.set(), &["exit"]).await;
    assert!(ran.out.contains("none yet: 'register NAME' opens one"), "{}", ran.out);
}

#[actix_rt::test]
async fn nothing_is_signed_without_a_clear_yes() {
    for (answer, paid) in
        [("y", true), ("yes", true), ("n", false), ("", false), ("pay bob 10", false)]
    {
        let ran = converse(Set::default(), &["pay new 10", answer, "exit"]).await;
        let shown = format!(
            "about to pay 10 to new, key {} (seen for the first time), not on the list of who is \
             online\n? pay 10 to new?\n",
            key(3)
        );
        assert!(ran.out.contains(&shown), "{}", ran.out);
        let expected: &[&str] = if paid { &["pay new 10 None"] } else { &[] };
        assert_eq!(done(&ran), expected, "{answer:?}");
        assert_eq!(ran.out.contains("\nnothing was paid\n"), !paid, "{}", ran.out);
        assert!(ran.out.ends_with("goodbye\n"), "the conversation goes on: {}", ran.out);
    }
}

/// Whoever hangs up at the question has not said yes.
#[actix_rt::test]
async fn the_end_of_the_input_is_no_yes() {
    let ran = converse(Set::default(), &["pay bob 10"]).await;
    assert_eq!(done(&ran), [""; 0]);
    assert_eq!(ran.asked.last().map(String::as_str), Some("goodbye"));
}

#[actix_rt::test]
async fn a_key_is_changed_only_when_its_words_are_written_down() {
    let rotated = format!("rotate {}", key(8));
    for (answers, made, changed) in [
        (&["n"][..], false, false),
        (&["y", "n"], true, false),
        (&["y", ""], true, false),
        (&["y", "y"], true, true),
    ] {
        let lines = [&["rotate-key"], answers, &["exit"]].concat();
        let ran = converse(Set::default(), &lines).await;
        assert_eq!(ran.asked.contains(&"next key".to_owned()), made, "{answers:?}");
        assert_eq!(ran.out.contains(NEXT_WORDS), made, "{}", ran.out);
        let expected: &[&str] = if changed { &[&rotated] } else { &[] };
        assert_eq!(done(&ran), expected, "{answers:?}");
    }
}

#[actix_rt::test]
async fn payments_that_a_key_change_ended_are_made_anew_one_by_one() {
    let dead = || {
        vec![
            dead_payment(1, "bob", Some("rent")),
            dead_payment(2, "nobody", None),
            dead_payment(3, "carol", None),
            dead_payment(4, "broke", None),
        ]
    };
    let rotated = format!("rotate {}", key(8));
    let lines = ["rotate-key", "y", "y", "y", "y", "n", "y", "exit"];
    let ran = converse(Set { dead: dead(), ..Set::default() }, &lines).await;
    assert_eq!(done(&ran), [&rotated, "pay bob 10 Some(\"rent\")", "pay broke 10 None"]);
    for said in [
        "? make them anew now, one by one?\n",
        "? pay 10 to bob?\npaid 10 to bob; receipt ",
        "error: there is no account nobody\n",
        "? pay 10 to broke?\nerror: the payment of 10 to broke was refused: insufficient balance\n",
    ] {
        assert!(ran.out.contains(said), "{said:?} in {}", ran.out);
    }
    assert!(ran.out.ends_with("goodbye\n"), "{}", ran.out);

    let lines = ["rotate-key", "y", "y", "n", "exit"];
    let ran = converse(Set { dead: dead(), ..Set::default() }, &lines).await;
    assert_eq!(done(&ran), [&rotated], "no means none of them");
}

/// The program may end, or the answer be lost, between the change and what it ended.
#[actix_rt::test]
async fn payments_that_ended_with_the_old_key_meanwhile_are_offered_as_well() {
    let anew = "pay bob 10 Some(\"rent\")";
    let question = "? make the payments that ended with the old key anew now, one by one?\n";
    // Found at the start.
    for (answers, paid) in [(&["y", "y"][..], &[anew][..]), (&["n"], &[])] {
        let found = vec![dead_payment(1, "bob", Some("rent"))];
        let lines = [answers, &["exit"]].concat();
        let ran = converse(Set { found, ..Set::default() }, &lines).await;
        assert_eq!(done(&ran), paid, "{}", ran.out);
        assert_eq!(ran.out.matches(question).count(), 1, "{}", ran.out);
        assert!(ran.out.contains("; to make it anew: pay bob 10 rent\n"), "{}", ran.out);
    }
    // Told later, unasked.
    let lines = ["pay dier 1", "y", "balance", "y", "y", "exit"];
    let ran = converse(Set::default(), &lines).await;
    assert_eq!(done(&ran), ["pay dier 1 None", anew], "{}", ran.out);
    assert_eq!(ran.out.matches(question).count(), 1, "{}", ran.out);
    // What died of something else is nobody's to make anew.
    let found = vec![payment(1, "bob", PaymentState::Dead(OrderProblem::Expired))];
    let ran = converse(Set { found, ..Set::default() }, &["exit"]).await;
    assert!(!ran.out.contains("anew"), "{}", ran.out);
}
