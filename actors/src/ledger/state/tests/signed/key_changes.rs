//! Changes of keys, and what becomes of what the old one signed.

use wire::SignedKeyChange;

use super::*;

#[test]
fn one_wrong_field_of_a_key_change_a_row() {
    let no_permission = Outcome::Refused(Refusal::NoPermission);
    let in_use = Outcome::Refused(Refusal::KeyInUse);
    let with_new = |number| KeyChange { new: public_key(&key(number)), ..change() };
    for (what, account, change, (old, new), expected) in [
        ("right", ALICE, change(), (1, 3), Outcome::KeyChanged(number(4))),
        ("version", ALICE, KeyChange { version: 2, ..change() }, (1, 3), no_permission.clone()),
        (
            "server",
            ALICE,
            KeyChange { server: PublicKey::new([9; 32]), ..change() },
            (1, 3),
            no_permission.clone(),
        ),
        ("submitted by another", BOB, change(), (1, 3), no_permission.clone()),
        ("submitted by nobody", 99, change(), (1, 3), no_permission.clone()),
        (
            "another's account",
            BOB,
            KeyChange { account: name("bob"), ..change() },
            (1, 3),
            no_permission.clone(),
        ),
        (
            "not the account's key",
            ALICE,
            KeyChange { old: public_key(&key(5)), ..change() },
            (5, 3),
            no_permission,
        ),
        ("the same key", ALICE, with_new(1), (1, 1), in_use.clone()),
        ("another's key", ALICE, with_new(2), (1, 2), in_use),
    ] {
        let mut state = signers();
        assert_eq!(rotate(&mut state, account, change, old, new), expected, "{what}");
        if matches!(expected, Outcome::Refused(_)) {
            assert_eq!(state, signers(), "{what}");
        }
    }
    let wrong =
        SignedKeyChange { by_new: Signature::new([1; 64]), ..change().sign(&key(1), &key(3)) };
    wrong.verify().expect_err("nobody has the new key");
}

/// The story: a stolen key is given up, and what the thief signed before is submitted after.
#[test]
fn what_the_old_key_signed_and_is_not_settled_is_dead() {
    let mut state = signers();
    let (settled, undecided) =
        (verified(ten(), 1), verified(order(("alice", 1), ("bob", keyed(2)), 5, 2), 1));
    assert_eq!(submit(&mut state, BOB, settled.clone(), &TERMS), Outcome::Decided(number(4)));
    assert_eq!(rotate(&mut state, ALICE, change(), 1, 3), Outcome::KeyChanged(number(5)));
    let dead = Outcome::NotTaken(OrderProblem::PayerKeyMismatch);
    for submitter in [ALICE, BOB] {
        assert_eq!(submit(&mut state, submitter, undecided.clone(), &TERMS), dead);
        let again = submit(&mut state, submitter, settled.clone(), &TERMS);
        assert_eq!(again, Outcome::DecidedBefore(number(4)));
    }
    // Its id, signed by the new key, is another order.
    let conflict = verified(order(("alice", 3), ("bob", keyed(2)), 10, 1), 3);
    let outcome = submit(&mut state, BOB, conflict, &TERMS);
    assert_eq!(outcome, Outcome::NotTaken(OrderProblem::Conflict));
    let anew = verified(order(("alice", 3), ("bob", keyed(2)), 5, 2), 3);
    assert_eq!(submit(&mut state, BOB, anew, &TERMS), Outcome::Decided(number(6)));
    assert_eq!(balances(&state)[..2], [985, 1015]);
    // A payer who knows bob by his old key does not pay the new one unknowingly.
    let bobs = KeyChange {
        account: name("bob"),
        old: public_key(&key(2)),
        new: public_key(&key(6)),
        ..change()
    };
    assert_eq!(rotate(&mut state, BOB, bobs, 2, 6), Outcome::KeyChanged(number(7)));
    let stale = Box::new(verified(order(("alice", 3), ("bob", keyed(2)), 5, 8), 3));
    let (_, entry) =
        state.apply(Command::Order { submitter: AccountId::new(ALICE), order: stale }, &TERMS);
    assert!(matches!(entry, Some(Entry::OrderRefused { refusal: Refusal::PayeeKeyChanged, .. })));
}

#[test]
fn a_key_that_was_given_up_is_nobodys_for_ever() {
    let mut state = signers();
    assert_eq!(rotate(&mut state, ALICE, change(), 1, 3), Outcome::KeyChanged(number(4)));
    for mut state in [state.clone(), State::restore(parts(&state)).expect("whole")] {
        let replayed = rotate(&mut state, ALICE, change(), 1, 3);
        assert_eq!(replayed, Outcome::Refused(Refusal::KeyInUse), "the same change again");
        let in_use = Outcome::Refused(Refusal::KeyInUse);
        assert_eq!(open(&mut state, "thief", keyed(1), 0), in_use);
        let back = KeyChange { old: public_key(&key(3)), new: public_key(&key(1)), ..change() };
        assert_eq!(rotate(&mut state, ALICE, back, 3, 1), in_use);
        let others = KeyChange {
            account: name("bob"),
            old: public_key(&key(2)),
            new: public_key(&key(1)),
            ..change()
        };
        assert_eq!(rotate(&mut state, BOB, others, 2, 1), in_use);
        for (number, current) in [(1, false), (3, true)] {
            let holder = KeyHolder {
                account: AccountId::new(ALICE),
                name: name("alice"),
                balance: Amount::new(1000),
                current,
            };
            let found = state.apply(Command::FindKey(public_key(&key(number))), &TERMS);
            assert_eq!(found, (Outcome::FoundKey(Some(holder)), None));
        }
        let nobody = state.apply(Command::FindKey(public_key(&key(9))), &TERMS);
        assert_eq!(nobody, (Outcome::FoundKey(None), None));
    }
}
