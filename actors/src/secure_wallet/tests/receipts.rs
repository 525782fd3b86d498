//! Receipts that only the server has.

use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::Answer;
use wire::{
    AccountId, Amount, Authority, Entry, EntryNumber, Order, OrderId, Receipt, SignedOrder,
    Timestamp,
};

use super::super::store::WalletStore as _;
use super::store;
use super::world::{Client, DAWN, Fault, World, alice, bob, name, seal, server_key};
use crate::messages::{PaymentState, ReadReceipt};

fn order(random: u8) -> SignedOrder {
    let not_after = Timestamp::new(DAWN + 60_000);
    let order = Order {
        version: ORDER_VERSION,
        server: wire::signature::public_key(&server_key()),
        id: OrderId::new(not_after, [random; 10]),
        payer: name("alice"),
        payer_key: alice().public_key(),
        payee: name("bob"),
        payee_key: Some(bob().public_key()),
        amount: Amount::new(10),
        not_after,
        memo_hash: NO_MEMO,
    };
    order.sign(alice().key())
}

async fn read(client: &Client, order: &SignedOrder) -> Option<Receipt> {
    client.wallet.send(ReadReceipt(order.order.id)).await.expect("the wallet answers")
}

/// bob was paid while he was away. What the server gives him later must prove it, and is kept.
#[actix::test]
async fn the_receipt_of_a_payment_that_came_meanwhile_is_found_and_kept() {
    let world = World::new();
    let store = store();
    let orders: Vec<_> = (1..=5).map(order).collect();
    for order in &orders {
        world.lock().submit(alice().public_key(), order);
    }
    let mut client = world.client(bob(), None, &store);
    client.start().await.expect("the server is there");
    let first = &orders[0];
    let other = world.lock().numbered.last().cloned();
    let entry = Entry::Transferred {
        payer: AccountId::new(0),
        payee: AccountId::new(1),
        amount: first.order.amount,
        authority: Authority::Order(Box::new(first.clone())),
    };
    let forged = seal(alice().key(), EntryNumber::new(3), DAWN, entry);
    for lie in [vec![other], vec![Some(forged)], vec![None], Vec::new()] {
        world.lock().faults.push(("ReadReceipts", Fault::Says(Ok(Answer::Receipts(lie)))));
        assert_eq!(read(&client, first).await, None);
    }
    let server = first.order.server;
    assert!(store.received(&server, first.order.id).expect("readable").is_empty());
    // It stands on the last of three pages.
    let found = read(&client, first).await.expect("the server has it");
    assert_eq!(found.order(), Some(first));
    assert_eq!(store.received(&server, first.order.id).expect("readable"), [found]);
    client.news.nothing();
}

/// alice has lost her machine: her new one shows the receipts of what the lost one paid.
#[actix::test]
async fn the_receipt_of_a_payment_of_a_lost_machine_is_found_and_kept() {
    let world = World::new();
    let paid = order(1);
    world.lock().submit(alice().public_key(), &paid);
    let client = world.client(alice(), None, &store());
    client.start().await.expect("the server is there");
    assert_eq!(client.payments().await, []);
    assert_eq!(read(&client, &paid).await.expect("the server has it").order(), Some(&paid));
    assert_eq!(client.payments().await, [(10, PaymentState::Paid)]);
    world.lock().unreachable = true;
    assert!(read(&client, &paid).await.is_some(), "it is kept");
    assert_eq!(read(&client, &order(2)).await, None);
}
