//! Floods over the secure protocol.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;

use ed25519_zebra::SigningKey;
use wire::order::{NO_MEMO, ORDER_VERSION};
use wire::secure::{Call, Correlation, OrderRef, Problem, Request, frame};
use wire::{Amount, Order, OrderId, SignedOrder, Timestamp, signature};

use super::{DEAF, LOOK_EVERY, PAYEE, SLOW, SLOW_READER, SLOW_WRITER, TALKER, Tide, name};
use crate::secure::{SecureClient, SecureStream, key};
use crate::text::Connection;

/// One of this account's that is refused, so that what the honest one has stays as it is.
fn refused_order(payer: &SecureClient, payer_key: u8, payer_name: &str) -> SignedOrder {
    let not_after = Timestamp::new(payer.welcome.now.get() + 3_600_000);
    let order = Order {
        version: ORDER_VERSION,
        server: payer.stream.peer,
        id: OrderId::new(not_after, [7; 10]),
        payer: name(payer_name),
        payer_key: signature::public_key(&key(payer_key)),
        payee: name("honest-holder"),
        payee_key: Some(signature::public_key(&key(PAYEE))),
        // More than there is.
        amount: Amount::new(u64::MAX),
        not_after,
        memo_hash: NO_MEMO,
    };
    order.sign(&key(payer_key))
}

pub(super) fn talkers(server: SocketAddr, size: usize, tide: &Tide) {
    const CALLS: u64 = 8;
    let mut first = SecureClient::registered(server, &key(TALKER), "talker");
    let orders = vec![refused_order(&first, TALKER, "talker"); 512];
    first.call(Call::SubmitOrders { orders: orders.clone() }).expect("answers");
    let mut calls = Vec::new();
    for number in 0..CALLS {
        let call = Call::SubmitOrders { orders: orders.clone() };
        frame::encode(&Request { correlation: Correlation(1000 + number), call }, &mut calls);
    }
    let talk = || {
        let mut talker = SecureClient::connect(server, &key(TALKER));
        tide.rise();
        while !tide.is_stopped() {
            talker.stream.send_bytes(&calls).expect("the server reads");
            for _ in 0..CALLS {
                talker.stream.receive::<wire::secure::ServerFrame>().expect("it answers");
                tide.add(orders.len());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..size {
            scope.spawn(talk);
        }
    });
}

pub(super) fn slow_readers(server: SocketAddr, size: usize, tide: &Tide) {
    let mut askers = askers(server, size, SLOW_READER, "slow-reader");
    tide.rise();
    loop {
        for asker in &mut askers {
            asker.ask();
            // A byte of what is encrypted is as much as can be taken less than one of what is said.
            let _ = asker.stream.socket().read(&mut [0]);
            tide.add(1);
        }
        if !tide.wait(SLOW) {
            return;
        }
    }
}

pub(super) fn deaf(server: SocketAddr, size: usize, tide: &Tide) {
    let mut askers = askers(server, size, DEAF, "deaf-asker");
    tide.rise();
    loop {
        for asker in &mut askers {
            tide.add(asker.ask());
        }
        if !tide.wait(LOOK_EVERY) {
            return;
        }
    }
}

/// Somebody who asks for the longest answers.
struct Asker {
    stream: SecureStream,
    /// One call.
    bytes: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
}

/// So many sessions of one account, that take nothing from the network by themselves.
fn askers(server: SocketAddr, size: usize, number: u8, account: &str) -> Vec<Asker> {
    let mut first = SecureClient::registered(server, &key(number), account);
    let order = refused_order(&first, number, account);
    let reference = OrderRef { payer: order.order.payer.clone(), id: order.order.id };
    first.call(Call::SubmitOrders { orders: vec![order] }).expect("it is refused for good");
    let mut bytes = Vec::new();
    let call = Call::OrderStatus { orders: vec![reference; 512] };
    frame::encode(&Request { correlation: Correlation(1), call }, &mut bytes);
    let open = |_| {
        let stream = Connection::open_with_small_window(server).into_stream();
        let stream = SecureStream::over(stream, &key(number)).expect("a handshake");
        let client = SecureClient::over(stream).expect("a welcome");
        client.stream.socket().set_nonblocking(true).expect("a live socket");
        Asker { stream: client.stream, bytes: bytes.clone(), sent: 0 }
    };
    (0..size).map(open).collect()
}

impl Asker {
    /// Asks as often as the server, and what stands between, takes it now. How many bytes that are.
    fn ask(&mut self) -> usize {
        let mut taken = 0;
        // Nothing is taken where there is no room.
        while let Ok(count @ 1..) = self.stream.write(&self.bytes[self.sent..]) {
            taken += count;
            self.sent = (self.sent + count) % self.bytes.len();
        }
        taken
    }
}

pub(super) fn slow_writers(server: SocketAddr, size: usize, tide: &Tide) {
    let first = SecureClient::registered(server, &key(SLOW_WRITER), "slow-writer");
    let order = refused_order(&first, SLOW_WRITER, "slow-writer");
    let mut bytes = Vec::new();
    let call = Call::SubmitOrders { orders: vec![order; 64] };
    frame::encode(&Request { correlation: Correlation(1), call }, &mut bytes);
    let mut writers: Vec<SecureClient> =
        (0..size).map(|_| SecureClient::connect(server, &key(SLOW_WRITER))).collect();
    for byte in bytes {
        for writer in &mut writers {
            // Some of these are over before the flood is.
            let _ = writer.stream.send_bytes(&[byte]);
            tide.add(1);
        }
        tide.rise();
        if !tide.wait(SLOW) {
            return;
        }
    }
}

/// Counts those that were opened; one that comes too early is asked for no more.
pub(super) fn registrations(server: SocketAddr, size: usize, tide: &Tide) {
    tide.rise();
    for number in 0..size {
        let mut client = SecureClient::connect(server, &numbered_key(number));
        match client.call(Call::Register { name: name(&format!("keyed-{number}")) }) {
            Ok(_) => tide.add(1),
            Err(Problem::BusyFor { .. }) => {}
            Err(problem) => panic!("{problem}"),
        }
        if tide.is_stopped() {
            return;
        }
    }
}

/// One that no other account here has.
fn numbered_key(number: usize) -> SigningKey {
    let mut bytes = [0xAC; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&bytes)
}
