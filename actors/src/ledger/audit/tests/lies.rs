//! Journals of a server that lies: every batch is in order and properly sealed, and says what must
//! not be.

use super::*;

/// The fault of a journal with this second batch, and how far into it the entry is.
fn lie(entries: &[Entry]) -> Option<(u64, Fault)> {
    let mut scribe = Scribe::new(&server());
    scribe.write(&openings());
    let first = scribe.next_entry;
    scribe.write(entries);
    match scribe.audit() {
        Ok(_) => None,
        Err(AuditError::Fault { batch, entry: Some(entry), fault, .. }) => {
            assert_eq!(batch.get(), 2);
            Some((entry.get() - first, fault))
        }
        Err(other) => panic!("{other}"),
    }
}

fn alice_pays() -> Order {
    order(7, 1)
}

#[test]
fn what_the_payer_did_not_sign_is_found() {
    let signed = || alice_pays().sign(&key(1));
    let altered = |change: fn(&mut Order)| {
        let mut signed = signed();
        change(&mut signed.order);
        settled(signed)
    };
    assert_eq!(lie(&[settled(signed())]), None);
    for entry in [
        settled(alice_pays().sign(&key(9))),
        altered(|order| order.amount = Amount::new(1000)),
        altered(|order| order.memo_hash = [1; 32]),
        altered(|order| order.id = OrderId::new(order.not_after, [8; 10])),
        refused(
            Order { amount: Amount::new(5000), ..alice_pays() }.sign(&key(9)),
            Refusal::InsufficientBalance,
        ),
    ] {
        assert_eq!(lie(&[text_payment(2, 3, 1), entry]), Some((1, Fault::PayerSignature)));
    }
}

#[test]
fn orders_that_must_not_be_decided_are_found() {
    let server = public_key(&key(0xDD));
    let day = ORDER_VALIDITY_MS_MAX;
    let until = |ms: u64| {
        let not_after = Timestamp::new(ms);
        Order { not_after, id: OrderId::new(not_after, [7; 10]), ..alice_pays() }
    };
    let (before, written) = (batch_time(0).get(), batch_time(1).get());
    let alice = AccountId::new(0);
    let mismatch = Fault::Rules(ReplayError::OrderMismatch(alice));
    for (order, expected) in [
        (Order { server, ..alice_pays() }, Some(Fault::OtherServer(server))),
        (Order { version: 2, ..alice_pays() }, Some(mismatch)),
        (Order { not_after: Timestamp::new(written + 1), ..alice_pays() }, Some(mismatch)),
        // The batch before was written at the very last moment of the order.
        (until(before), None),
        (until(before - 1), Some(Fault::Rules(ReplayError::OrderExpired(alice)))),
        (until(written + day), None),
        (until(written + day + 1), Some(Fault::OrderTooLong)),
    ] {
        let found = lie(&[settled(order.clone().sign(&key(1)))]);
        assert_eq!(found, expected.map(|fault| (0, fault)), "{order:?}");
        if expected.is_some() {
            let too_much = Order { amount: Amount::new(5000), ..order };
            let found = lie(&[refused(too_much.sign(&key(1)), Refusal::InsufficientBalance)]);
            assert_eq!(found, expected.map(|fault| (0, fault)), "refused");
        }
    }
}

/// The story: a server settles an order, waits until its time is over and nobody remembers it, and
/// settles it again. The payer has signed it, after all.
#[test]
fn an_order_is_not_settled_twice_however_much_later() {
    let pay = || settled(alice_pays().sign(&key(1)));
    assert_eq!(
        lie(&[pay(), pay()]),
        Some((1, Fault::Rules(ReplayError::DecidedTwice(AccountId::new(0)))))
    );
    for (between, expected) in [
        (1, Fault::Rules(ReplayError::DecidedTwice(AccountId::new(0)))),
        (2 + VALID_MS / BETWEEN_MS, Fault::Rules(ReplayError::OrderExpired(AccountId::new(0)))),
    ] {
        let mut scribe = Scribe::new(&server());
        scribe.write(&openings());
        scribe.write(&[pay()]);
        for _ in 0..between {
            scribe.write(&[text_payment(2, 3, 1)]);
        }
        scribe.write(&[pay()]);
        let error = scribe.audit().expect_err("it is found");
        assert!(
            matches!(&error, AuditError::Fault { fault, .. } if *fault == expected),
            "{between}: {error}"
        );
    }
}

#[test]
fn a_refusal_that_did_not_hold_is_found() {
    let signed = |order: Order| order.sign(&key(1));
    let wrong = Fault::Rules(ReplayError::WrongRefusal(AccountId::new(0)));
    let too_much = || Order { amount: Amount::new(1001), ..alice_pays() };
    let stranger = || Order { payee: "zoe".parse().expect("a name"), ..alice_pays() };
    let other_key = || Order { payee_key: None, ..alice_pays() };
    for (order, refusal, holds) in [
        (alice_pays(), Refusal::InsufficientBalance, false),
        (alice_pays(), Refusal::UnknownPayee, false),
        (alice_pays(), Refusal::NoPermission, false),
        (too_much(), Refusal::InsufficientBalance, true),
        (too_much(), Refusal::UnknownPayee, false),
        (stranger(), Refusal::UnknownPayee, true),
        (stranger(), Refusal::InsufficientBalance, false),
        (other_key(), Refusal::PayeeKeyChanged, true),
    ] {
        let found = lie(&[refused(signed(order), refusal)]);
        assert_eq!(found, (!holds).then_some((0, wrong)), "{refusal:?}");
    }
}

#[test]
fn key_changes_that_one_of_the_keys_did_not_sign_are_found() {
    let alice = AccountId::new(0);
    let signed = |change: KeyChange, old, new| key_changed(change.sign(&key(old), &key(new)));
    let other = public_key(&key(0xDD));
    let wrong = Fault::Rules(ReplayError::WrongKeyChange(alice));
    for (entry, expected) in [
        (signed(key_change(), 1, 11), None),
        (signed(key_change(), 9, 11), Some(Fault::OldKeySignature)),
        (signed(key_change(), 1, 9), Some(Fault::NewKeySignature)),
        (
            signed(KeyChange { server: other, ..key_change() }, 1, 11),
            Some(Fault::OtherServer(other)),
        ),
        (signed(KeyChange { version: 9, ..key_change() }, 1, 11), Some(wrong)),
        // Somebody's own keys, for alice's account.
        (signed(KeyChange { old: public_key(&key(9)), ..key_change() }, 9, 11), Some(wrong)),
        (signed(KeyChange { new: public_key(&key(2)), ..key_change() }, 1, 2), Some(wrong)),
    ] {
        assert_eq!(lie(&[entry]), expected.map(|fault| (0, fault)));
    }
    // What the old key signs afterwards is worth nothing.
    let late = [signed(key_change(), 1, 11), settled(alice_pays().sign(&key(1)))];
    assert_eq!(lie(&late), Some((1, Fault::Rules(ReplayError::OrderMismatch(alice)))));
}

#[test]
fn credits_from_nowhere_and_debits_without_a_word_are_found() {
    let [alice, carol] = [0, 2].map(AccountId::new);
    let mut more_than_signed = settled(alice_pays().sign(&key(1)));
    if let Entry::Transferred { amount, .. } = &mut more_than_signed {
        *amount = Amount::new(11);
    }
    let mut to_another = settled(alice_pays().sign(&key(1)));
    if let Entry::Transferred { payee, .. } = &mut to_another {
        *payee = AccountId::new(2);
    }
    let mut boundless = opened(4, "eve", Access::Open);
    if let Entry::AccountOpened { grant, .. } = &mut boundless {
        *grant = Amount::new(u64::MAX);
    }
    for (entry, expected) in [
        (text_payment(0, 1, 1), ReplayError::MissingSignature(alice)),
        (text_payment(2, 3, 1001), ReplayError::Overdraft(carol)),
        (text_payment(2, 9, 1), ReplayError::UnknownAccount(AccountId::new(9))),
        (text_payment(2, 2, 1), ReplayError::EmptyTransfer(carol)),
        (text_payment(2, 3, 0), ReplayError::EmptyTransfer(carol)),
        (more_than_signed, ReplayError::OrderMismatch(alice)),
        (to_another, ReplayError::OrderMismatch(alice)),
        (boundless, ReplayError::SupplyOverflow(AccountId::new(4))),
        (opened(4, "alice", Access::Open), ReplayError::NameTaken(AccountId::new(4))),
    ] {
        assert_eq!(lie(&[entry]), Some((0, Fault::Rules(expected))));
    }
}

/// The operator's own word stands for what it does, but not for what the rules forbid.
#[test]
fn what_the_operator_must_not_do_is_found() {
    let [alice, carol] = [0, 2].map(AccountId::new);
    let id = || "a".parse().expect("an id");
    let deposited =
        |amount| Entry::Deposited { account: carol, amount: Amount::new(amount), id: id() };
    let withdrawn =
        |amount| Entry::Withdrawn { account: carol, amount: Amount::new(amount), id: id() };
    let frozen = |account| Entry::Frozen { account, reason: FreezeReason::default() };
    let signed = || alice_pays().sign(&key(1));
    for (entries, expected) in [
        (vec![deposited(1)], None),
        (vec![deposited(1), deposited(1)], Some((1, ReplayError::OperatedTwice(carol)))),
        (vec![deposited(u64::MAX)], Some((0, ReplayError::SupplyOverflow(carol)))),
        (vec![withdrawn(1001)], Some((0, ReplayError::Overdraft(carol)))),
        (vec![frozen(carol), text_payment(2, 3, 1)], Some((1, ReplayError::Frozen(carol)))),
        (vec![frozen(carol), text_payment(3, 2, 1)], None),
        (vec![frozen(alice), settled(signed())], Some((1, ReplayError::Frozen(alice)))),
        (vec![frozen(alice), refused(signed(), Refusal::AccountFrozen)], None),
        (
            vec![refused(signed(), Refusal::AccountFrozen)],
            Some((0, ReplayError::WrongRefusal(alice))),
        ),
    ] {
        let expected = expected.map(|(index, error)| (index, Fault::Rules(error)));
        assert_eq!(lie(&entries), expected, "{entries:?}");
    }
}

#[test]
fn the_error_names_file_offset_batch_and_entry() {
    let mut scribe = honest();
    let offset = scribe.bytes.len();
    scribe.write(&[text_payment(2, 3, 1), settled(order(9, 5).sign(&key(9)))]);
    let error = scribe.audit().expect_err("a fault").to_string();
    let expected = format!(
        "{SEGMENT} at byte {offset}, in batch 6, entry 11: the order is not signed by its payer"
    );
    assert_eq!(error, expected);
}
