//! What is put together again, from entries or from parts, is judged by the same rules.

use super::*;

/// A journal that somebody has changed must not be believed for its checksums.
#[test]
fn entries_that_do_not_follow_from_what_is_signed_are_refused() {
    let id = AccountId::new;
    let signed = |order: Order| Box::new(order.sign(&key(1)));
    let paid = |payer, payee, amount, order| Entry::Transferred {
        payer: id(payer),
        payee: id(payee),
        amount: Amount::new(amount),
        authority: Authority::Order(signed(order)),
    };
    let refused = |payer, order, refusal| Entry::OrderRefused {
        payer: id(payer),
        order: signed(order),
        refusal,
    };
    let changed = |account, change: KeyChange| Entry::KeyChanged {
        account: id(account),
        change: Box::new(change.sign(&key(1), &key(3))),
    };
    let mismatch = ReplayError::OrderMismatch;
    let much = Order { amount: Amount::new(1001), ..ten() };
    let other_id = OrderId::new(Timestamp::new(7), [1; 10]);
    for (entry, expected) in [
        (paid(0, 1, 11, ten()), mismatch(id(0))),
        (paid(0, 2, 10, ten()), mismatch(id(0))),
        (paid(3, 1, 10, ten()), mismatch(id(3))),
        (paid(2, 1, 10, ten()), mismatch(id(2))),
        (paid(9, 1, 10, ten()), ReplayError::UnknownAccount(id(9))),
        (paid(0, 1, 1001, much.clone()), ReplayError::Overdraft(id(0))),
        (paid(0, 1, 10, Order { version: ORDER_VERSION + 1, ..ten() }), mismatch(id(0))),
        (paid(0, 1, 10, Order { payer_key: public_key(&key(4)), ..ten() }), mismatch(id(0))),
        (paid(0, 1, 10, Order { payer: name("eve"), ..ten() }), mismatch(id(0))),
        (paid(0, 1, 10, Order { payee: name("eve"), ..ten() }), mismatch(id(0))),
        (paid(0, 1, 10, Order { payee_key: None, ..ten() }), mismatch(id(0))),
        (paid(0, 1, 10, Order { id: other_id, ..ten() }), mismatch(id(0))),
        (refused(0, ten(), Refusal::InsufficientBalance), ReplayError::WrongRefusal(id(0))),
        (refused(0, much.clone(), Refusal::UnknownPayee), ReplayError::WrongRefusal(id(0))),
        (refused(3, much.clone(), Refusal::InsufficientBalance), mismatch(id(3))),
        (refused(9, much, Refusal::InsufficientBalance), ReplayError::UnknownAccount(id(9))),
        (changed(1, change()), ReplayError::WrongKeyChange(id(1))),
        (changed(9, change()), ReplayError::UnknownAccount(id(9))),
        (
            changed(0, KeyChange { new: public_key(&key(2)), ..change() }),
            ReplayError::WrongKeyChange(id(0)),
        ),
        (
            changed(0, KeyChange { old: public_key(&key(2)), ..change() }),
            ReplayError::WrongKeyChange(id(0)),
        ),
        (changed(0, KeyChange { version: 2, ..change() }), ReplayError::WrongKeyChange(id(0))),
        (
            changed(0, KeyChange { account: name("bob"), ..change() }),
            ReplayError::WrongKeyChange(id(0)),
        ),
    ] {
        let mut state = signers();
        assert_eq!(state.replay(&entry), Err(expected), "{entry:?}");
        assert_eq!(state, signers(), "{entry:?}");
    }
}

/// A server could settle an order twice: once in time, and again when it is forgotten.
#[test]
fn replaying_finds_orders_that_are_decided_twice_or_too_late() {
    let alice = AccountId::new(ALICE);
    let paid = Entry::Transferred {
        payer: alice,
        payee: AccountId::new(BOB),
        amount: Amount::new(10),
        authority: Authority::Order(Box::new(ten().sign(&key(1)))),
    };
    let mut state = signers();
    assert_eq!(state.replay(&paid), Ok(()));
    assert_eq!(state.replay(&paid), Err(ReplayError::DecidedTwice(alice)));
    let not_after = ten().not_after;
    state.forget_expired_orders(not_after);
    assert_eq!(state.replay(&paid), Err(ReplayError::DecidedTwice(alice)));
    state.forget_expired_orders(Timestamp::new(not_after.get() + 1));
    assert_eq!(state.replay(&paid), Err(ReplayError::OrderExpired(alice)));
}

#[test]
fn a_state_is_restored_from_its_parts_only_if_they_fit() {
    let mut state = signers();
    assert_eq!(submit(&mut state, BOB, verified(ten(), 1), &TERMS), Outcome::Decided(number(4)));
    assert_eq!(rotate(&mut state, ALICE, change(), 1, 3), Outcome::KeyChanged(number(5)));
    let whole = parts(&state);
    let mut restored = State::restore(whole.clone()).expect("whole");
    assert_eq!(restored, state);
    let again = submit(&mut restored, BOB, verified(ten(), 1), &TERMS);
    assert_eq!(again, Outcome::DecidedBefore(number(4)));

    let unknown = AccountId::new(99);
    let retired_keys = vec![(PublicKey::new([1; 32]), unknown)];
    let order = whole.orders[0];
    for (parts, expected) in [
        (Parts { retired_keys, ..whole.clone() }, ReplayError::UnknownAccount(unknown)),
        (
            Parts { orders: vec![DecidedOrder { payer: unknown, ..order }], ..whole.clone() },
            ReplayError::UnknownAccount(unknown),
        ),
        (
            Parts { orders: vec![order; 2], ..whole.clone() },
            ReplayError::DecidedTwice(AccountId::new(ALICE)),
        ),
        (
            Parts { accounts: vec![whole.accounts[0].clone(); 2], ..Parts::default() },
            ReplayError::NameTaken(AccountId::new(1)),
        ),
    ] {
        assert_eq!(State::restore(parts), Err(expected));
    }
}
