use actors::messages::PaymentState;
use wire::secure::OrderProblem;

use super::fake::{id, payment};
use super::*;

#[actix_rt::test]
async fn a_script_of_everything() {
    let set = Trouble::Stranger.set();
    let ran = run_script(
        set,
        &[
            "# a comment",
            "register alice",
            "login 0",
            "pay bob 10 for \"lunch\"",
            "balance",
            "history 5",
            "exit",
            "balance",
        ],
    )
    .await;
    assert_eq!(
        ran.out,
        format!(
            "registered alice\n\
             logged in as alice, listening on port 5555\n\
             balance: 990\n\
             online: 3\n\
             \x20 alice  127.0.0.1:7001  (you)\n\
             \x20 bob    127.0.0.1:7002\n\
             \x20 open   127.0.0.1:7003  (no key: anybody may be called so)\n\
             about to pay 10 to bob, key {} (known from before), not on the list of who is online, \
             memo \"for \\\"lunch\\\"\" (the memo will not reach them: they are not reachable now)\n\
             paid 10 to bob; receipt 0000000000000000…; balance: 990\n\
             balance: 990\n\
             \x20 2026-09-21T14:13:20.000Z  received 3 from bob  0000000000000000…\n\
             \x20 2026-09-21T14:13:20.000Z  opened with 1000\n\
             \x20 and more before that: 'history COUNT' shows them\n\
             goodbye\n",
            key(3)
        )
    );
    assert_eq!(ran.err, "");
    let asked = [
        "start",
        "open alice",
        "listen 0",
        "online Some(5555)",
        "overview",
        "quote bob 10",
        "pay bob 10 Some(\"for \\\"lunch\\\"\")",
        "overview",
        "overview",
        "history 5",
        "goodbye",
    ];
    assert_eq!(ran.asked, asked, "nothing is asked twice, or behind 'exit'");
    assert_eq!(ran.ended, Ended { tally: Tally { commands: 6, failed: 0 }, unknown: 0 });
}

#[actix_rt::test]
async fn who_logs_in_unlisted_has_no_listener() {
    for (unlisted, line, online) in [
        (false, "login unlisted", "online None"),
        (true, "login", "online None"),
        (true, "login alice", "online None"),
    ] {
        let ran = run_script(Set { unlisted, ..Set::default() }, &[line]).await;
        assert_eq!(ran.asked[1], online, "{line}");
        assert!(!ran.asked.iter().any(|asked| asked.starts_with("listen")), "{:?}", ran.asked);
        assert!(ran.out.starts_with("logged in as alice, unlisted"), "{}", ran.out);
    }
    let ran = run_script(Set { unlisted: true, ..Set::default() }, &["login 7005"]).await;
    assert_eq!(ran.asked[1..3], ["listen 7005", "online Some(7005)"]);
}

#[actix_rt::test]
async fn a_login_by_another_name_is_refused_before_anything_is_done() {
    let ran = run_script(Set::default(), &["login bob"]).await;
    assert_eq!(ran.errors(), ["this key's account is alice, not bob"]);
    assert_eq!(ran.asked, ["start", "goodbye"]);
    let ran = run_script(Trouble::Stranger.set(), &["login alice"]).await;
    assert_eq!(ran.errors(), ["this key has no account at the server"]);
    assert_eq!(ran.asked, ["start", "goodbye"]);
}

#[actix_rt::test]
async fn names_that_no_account_can_have_are_not_asked_for() {
    let ran =
        run_script(Set::default(), &["register \u{430}lice", "register", "register taken"]).await;
    assert_eq!(ran.asked, ["start", "open taken", "goodbye"]);
    assert_eq!(
        ran.errors(),
        [
            "the name mixes scripts: use letters of one script only",
            "no name is given",
            "the server refused: the name is taken"
        ]
    );
    let named = Set { name: Some("carol"), ..Set::default() };
    let ran = run_script(named, &["register"]).await;
    assert_eq!(ran.asked[1], "open carol");
}

/// A lying server must not get another payment signed than the one that was asked for.
#[actix_rt::test]
async fn a_quote_of_another_payment_is_not_paid() {
    let ran = run_script(Set::default(), &["pay liar 10", "pay cheap 10", "pay gossip 1"]).await;
    let said = "the server speaks of another payment than the one that was asked for";
    assert_eq!(ran.errors(), [said; 3]);
    assert!(!ran.asked.iter().any(|asked| asked.starts_with("pay")), "{:?}", ran.asked);
}

#[actix_rt::test]
async fn a_changed_key_stops_a_payment_loudly() {
    let ran = run_script(Set::default(), &["pay changed 10", "pay changed 10"]).await;
    assert_eq!(ran.ended.tally, Tally { commands: 2, failed: 2 });
    assert!(!ran.asked.iter().any(|asked| asked.starts_with("pay")), "{:?}", ran.asked);
    let (known, found) = (key(4), key(9));
    for said in [
        "@@@@@@@@@@",
        "@ STOP: THE KEY OF changed HAS CHANGED\n",
        &format!("known from before:  {known}\n"),
        &format!("said by the server: {found}\n"),
        "error: the key of changed has changed",
        &format!("confirms exactly this key: trust changed {found}\n"),
    ] {
        assert!(ran.err.contains(said), "{said:?} in {}", ran.err);
    }
    let line = format!("trust changed {found}");
    let ran = run_script(Set::default(), &[&line]).await;
    assert_eq!(ran.asked[1], line);
    assert_eq!(ran.out, format!("changed is known by the key {found} from now on\n"));
}

#[actix_rt::test]
async fn an_unknown_outcome_is_no_failure_until_the_script_ends() {
    let ran = run_script(Set::default(), &["pay slow 10", "pay broke 5", "pay late 5"]).await;
    assert!(
        ran.out.contains(
            "payment of 10 to slow (0000000000000000…): unknown, checking; do not pay again"
        ),
        "{}",
        ran.out
    );
    assert_eq!(
        ran.errors(),
        [
            "the payment of 5 to broke was refused: insufficient balance",
            "the payment of 5 to late was refused for good: the order has expired",
            "outcome unknown: payment of 10 to slow (0000000000000000…)",
        ]
    );
    assert_eq!(ran.err.matches("hint: nothing was moved\n").count(), 2, "{}", ran.err);
    assert!(
        ran.err.ends_with("hint: start the client again to find out; do not pay again before\n")
    );
    assert_eq!(ran.ended, Ended { tally: Tally { commands: 3, failed: 2 }, unknown: 1 });
}

#[actix_rt::test]
async fn what_became_of_open_payments_is_told_first() {
    let found = vec![
        payment(1, "bob", PaymentState::Paid),
        payment(2, "carol", PaymentState::Dead(OrderProblem::Expired)),
        payment(3, "dave", PaymentState::Open),
    ];
    let ran = run_script(Set { found, ..Set::default() }, &["balance"]).await;
    assert_eq!(
        ran.out,
        "payment of 10 to bob (0000000000000000…): paid while you were away\n\
         payment of 10 to carol (0000000000000000…): refused for good: the order has expired; \
         nothing was moved\n\
         payment of 10 to dave (0000000000000000…): unknown, checking\n\
         balance: 990\n"
    );
}

#[actix_rt::test]
async fn what_the_wallet_keeps_is_there_without_a_server() {
    let kept = vec![payment(0xABCD, "bob", PaymentState::Paid)];
    let id = id(0xABCD).to_string();
    let set = Set { kept, ..Trouble::Offline.set() };
    let lines = ["payments", "receipts", &format!("receipt {id}"), "balance", "pay bob 10"];
    let ran = run_script(set, &lines).await;
    assert_eq!(ran.ended.tally, Tally { commands: 5, failed: 2 }, "{}", ran.err);
    assert_eq!(
        ran.asked,
        [&format!("receipt {id}"), &format!("receipt {id}"), "start", "start"],
        "each command that needs the server tries; no goodbye without a hello"
    );
    assert!(ran.err.starts_with("error: the server cannot be reached: refused\n"), "{}", ran.err);
    assert!(ran.out.contains("10  to bob  paid"), "{}", ran.out);
    assert!(ran.out.contains("whose signature is valid"), "{}", ran.out);
}

#[actix_rt::test]
async fn receipts_are_found_by_the_beginning_of_their_ids() {
    let kept =
        || vec![payment(0xABCD, "bob", PaymentState::Paid), payment(1, "bob", PaymentState::Paid)];
    let whole = id(0xABCD).to_string();
    let of_history = id(77).to_string();
    let of_older = id(0xF0000).to_string();
    for (line, sought, failure) in [
        (format!("receipt {whole}"), Some(whole.clone()), None),
        (format!("receipt {}", &whole[..30]), Some(whole.clone()), None),
        (format!("receipt {}…", &whole[..30]), Some(whole.clone()), None),
        // Payments to me are on nobody's list but the history's.
        (format!("receipt {}", &of_history[..31]), Some(of_history.clone()), None),
        // The newest page of the history is not all of it.
        (format!("receipt {}", &of_older[..28]), Some(of_older.clone()), None),
        (format!("receipt {of_history}"), Some(of_history.clone()), None),
        ("receipt 000000".into(), None, Some("4 payments' ids begin with 000000")),
        ("receipt abcdef".into(), None, Some("no payment's id begins with abcdef")),
        (format!("receipt {}", id(5)), Some(id(5).to_string()), Some("there is no receipt of")),
    ] {
        let ran = run_script(Set { kept: kept(), ..Set::default() }, &["balance", &line]).await;
        let asked: Vec<_> =
            ran.asked.iter().filter_map(|asked| asked.strip_prefix("receipt ")).collect();
        assert_eq!(asked, sought.iter().map(String::as_str).collect::<Vec<_>>(), "{line}");
        match failure {
            None => assert_eq!(ran.err, "", "{line}"),
            Some(failure) => assert!(ran.errors()[0].starts_with(failure), "{line}: {}", ran.err),
        }
    }
}

/// What the wallet does not keep is asked of the server, to which the wallet connects for that.
#[actix_rt::test]
async fn a_receipt_that_is_not_kept_is_fetched() {
    let whole = id(77).to_string();
    let ran = run_script(Set::default(), &[&format!("receipt {whole}")]).await;
    assert_eq!(ran.err, "");
    assert!(ran.out.contains("whose signature is valid"), "{}", ran.out);
    let read = format!("receipt {whole}");
    assert_eq!(ran.asked, [&read, "start", &read, "goodbye"]);
    // By its beginning, which only the history knows.
    let older = id(0xABCD).to_string();
    let kept = vec![payment(0xABCD, "bob", PaymentState::Paid)];
    let line = format!("receipt {}", &older[..30]);
    let ran = run_script(Set { kept, ..Set::default() }, &[&line]).await;
    assert_eq!(ran.asked, [format!("receipt {older}"), format!("receipt {older}")], "it is kept");
    let ran = run_script(Set::default(), &["receipt 000000000000"]).await;
    assert_eq!(ran.errors(), ["2 payments' ids begin with 000000000000"]);
    assert_eq!(ran.asked, ["start", "history 1000", "history 1000", "goodbye"]);
    let ran = run_script(Set::default(), &[&format!("receipt {}", &whole[..31])]).await;
    assert_eq!(ran.asked[3..], [&read, "goodbye"]);
}

/// Nothing that is not proven is shown as a receipt, let alone handed on as one.
#[actix_rt::test]
async fn a_receipt_that_proves_nothing_is_neither_shown_nor_exported() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (id, reason) in [
        (id(0xBAD0), "it is the receipt of another order"),
        (id(0xBAD1), "the batch's header is not signed by this server's key"),
    ] {
        let file = directory.path().join("receipt.txt");
        let line = format!("receipt {id} --export {}", file.display());
        let ran = run_script(Set::default(), &["balance", &line]).await;
        assert_eq!(ran.errors(), [format!("the receipt is not valid: {reason}")]);
        assert!(ran.err.contains("WARNING: THIS RECEIPT PROVES NOTHING"), "{}", ran.err);
        assert_eq!(ran.out, "balance: 990\n");
        assert!(!file.exists());
    }
}

#[actix_rt::test]
async fn an_exported_receipt_is_the_receipt() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("my receipt.txt");
    let line = format!("receipt {} --export {}", id(77), file.display());
    let ran = run_script(Set::default(), &["balance", &line, &line]).await;
    assert!(ran.out.ends_with(&format!("written to {}\n", file.display())), "{}", ran.out);
    let text = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(wire::Receipt::from_text(&text), Ok(receipt_of(id(77), 1)));
    // The second time there is a file already.
    assert_eq!(ran.ended.tally, Tally { commands: 3, failed: 1 }, "{}", ran.err);
}

#[actix_rt::test]
async fn a_key_change_prints_what_must_be_paid_anew_and_pays_nothing() {
    let dead = vec![dead_payment(1, "bob", Some("for lunch")), dead_payment(2, "carol", None)];
    let ran = run_script(Set { dead, ..Set::default() }, &["rotate-key", "id"]).await;
    let next = key(8);
    assert_eq!(
        ran.asked,
        [
            "start".to_owned(),
            "next key".into(),
            format!("rotate {next}"),
            format!("settle on {next}"),
            "overview".into(),
            "goodbye".into(),
        ]
    );
    assert!(!ran.out.contains("abandon"), "the words are not for a script's output: {}", ran.out);
    assert!(ran.err.ends_with(&format!(":\n\n    {NEXT_WORDS}\n")), "{}", ran.err);
    assert!(ran.out.contains("\n  pay bob 10 for lunch\n  pay carol 10\n"), "{}", ran.out);
    assert!(ran.out.contains(&format!("your key      {next}\n")), "{}", ran.out);
    assert_eq!(ran.ended.tally, Tally { commands: 2, failed: 0 });
}

/// A key that counts and is in no file would be lost with the program: it is said, and tried again.
#[actix_rt::test]
async fn a_key_file_that_cannot_be_replaced_is_told_with_each_command() {
    let set = Trouble::Stuck.set();
    let ran = run_script(set, &["rotate-key", "balance", "payments"]).await;
    let told =
        "warning: the account's new key is not in the place of the old: internal error: no room";
    assert_eq!(ran.out.matches(told).count(), 3, "{}", ran.out);
    assert_eq!(ran.asked.iter().filter(|asked| asked.starts_with("settle on")).count(), 3);
}

#[actix_rt::test]
async fn wait_ends_with_a_payment() {
    let ran = run_script(Set::default(), &["pay mirror 3", "wait 1", "wait 1"]).await;
    assert!(ran.out.contains("received 3 from mirror, memo \"back\"\n"), "{}", ran.out);
    assert_eq!(ran.ended.tally, Tally { commands: 3, failed: 1 }, "one payment ends one wait");
}

#[actix_rt::test]
async fn another_programs_log_in_is_told_with_what_it_may_mean() {
    let ran = run_script(Set::default(), &["pay twin 3", "balance"]).await;
    assert!(ran.out.contains("somebody has your key, so 'rotate-key'"), "{}", ran.out);
    assert_eq!(ran.ended.tally.failed, 0);
}

/// The wallet has found out that a change which nobody answered was made.
#[actix_rt::test]
async fn a_key_change_that_is_found_out_reaches_the_key_file() {
    let ran = run_script(Set::default(), &["pay rotor 3", "balance", "id"]).await;
    let settle = format!("settle on {}", key(8));
    assert_eq!(ran.asked.iter().filter(|asked| **asked == settle).count(), 1, "{:?}", ran.asked);
    assert!(ran.out.contains(&format!("your key      {}\n", key(8))), "{}", ran.out);
}

#[actix_rt::test]
async fn whois_says_whose_key_it_is_and_whether_it_is_known() {
    let lines = ["whois bob", "whois new", "whois open", "whois alice", "whois nobody"];
    let ran = run_script(Set::default(), &lines).await;
    let offline = ", not on the list of who is online";
    assert_eq!(
        ran.out,
        format!(
            "bob: key {0} (known from before){offline}\n\
             new: key {0} (seen for the first time){offline}\n\
             open: an account without a key: nobody can be sure who that is{offline}\n\
             alice is you: key {1}\n",
            key(3),
            key(2)
        )
    );
    assert_eq!(ran.errors(), ["there is no account nobody"]);
}

#[actix_rt::test]
async fn who_has_nothing_still_learns_the_keys_of_who_is_online() {
    let set = Trouble::Poor.set();
    let ran = run_script(set, &["login", "whois bob", "whois open", "whois carol"]).await;
    let tail = format!(
        "bob: key {}, online at 127.0.0.1:7002\n\
         open: an account without a key: nobody can be sure who that is, online at \
         127.0.0.1:7003\n",
        key(3)
    );
    assert!(ran.out.ends_with(&tail), "{}", ran.out);
    assert_eq!(ran.errors(), ["the balance is 0, which is less than 1"]);
}

/// Nobody answers a question in a script, which gets the line to write.
#[actix_rt::test]
async fn a_script_is_told_how_to_make_anew_what_ended_with_the_old_key() {
    let found = vec![dead_payment(1, "bob", Some("rent"))];
    let ran = run_script(Set { found, ..Set::default() }, &["pay dier 1", "balance"]).await;
    assert_eq!(ran.out.matches("; to make it anew: pay bob 10 rent\n").count(), 2, "{}", ran.out);
    assert_eq!(ran.asked.iter().filter(|asked| asked.starts_with("pay ")).count(), 1);
    assert_eq!(ran.ended.tally, Tally { commands: 2, failed: 0 });
}

/// Nothing more can be known here: whoever is sent to start again would be sent in circles.
#[actix_rt::test]
async fn a_payment_that_is_out_of_reach_is_not_promised_an_outcome() {
    let kept = vec![payment(1, "bob", PaymentState::OutOfReach)];
    let ran = run_script(Set { kept, ..Set::default() }, &["payments"]).await;
    assert!(ran.out.contains("not known here"), "{}", ran.out);
    let errors = ran.errors();
    assert!(errors[0].contains("this key was replaced by another device"), "{errors:?}");
    assert!(ran.err.contains("stands in 'history' of the profile with the new key"), "{}", ran.err);
    assert!(!ran.err.contains("start the client again"), "{}", ran.err);
    assert_eq!(ran.ended.unknown, 1);
}

/// The wallet has panicked: every command says so, nothing waits for it, and what is open is not known.
#[actix_rt::test]
async fn when_the_wallet_is_gone_every_command_says_so() {
    let commands = [
        "register alice",
        "login unlisted",
        "balance",
        "pay bob 10",
        "history",
        "payments",
        "receipt 0000000000000000",
        "rotate-key",
    ];
    let ran = run_script(Trouble::Gone.set(), &commands).await;
    let stopped =
        ran.errors().iter().filter(|error| error.contains("the wallet has stopped")).count();
    assert!(stopped >= commands.len(), "{}", ran.err);
    assert_eq!(ran.errors().len(), stopped, "{}", ran.err);
    assert_eq!(ran.ended.tally.failed, commands.len() as u64);
    assert!(!ran.out.contains("paid"), "{}", ran.out);
}
