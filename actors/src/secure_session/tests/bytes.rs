//! How much of the server's memory one session takes up.

use wire::secure::call::{ORDERS_PER_CALL_MAX, ORDERS_PER_CALL_MIN};
use wire::secure::{OrderRef, REQUEST_BYTES_MAX, REQUEST_BYTES_MIN};

use super::super::pace::{REFUSED_BYTES_MAX, REFUSED_PAUSE};
use super::*;
use crate::limits::{ByteLimits, OUTPUT_BYTES_MIN};
use crate::probe::{keyed_order, settle, slow};

fn within(bytes: ByteLimits) -> World {
    let limits = SessionLimits { bytes, ..SessionLimits::default() };
    World { limits: Arc::new(limits), ..World::new() }
}

fn order() -> wire::SignedOrder {
    keyed_order(1, ("alice", 1), ("bob", 2), 10).sign(&key(1))
}

/// About as many orders.
fn statuses(count: usize) -> Call {
    let reference = OrderRef { payer: name("alice"), id: order().order.id };
    Call::OrderStatus { orders: vec![reference; count] }
}

#[actix::test]
async fn a_server_that_takes_shorter_frames_says_so_and_says_why_a_longer_one_ends_the_connection()
{
    tokio::time::pause();
    let world = within(ByteLimits { frame: REQUEST_BYTES_MIN, ..ByteLimits::default() });
    let mut stage = Stage::silent(1, &world);
    stage.send(&Hello::new(magic::CLIENT)).await;
    let welcome = stage.frame::<Result<Welcome, Problem>>().await.expect("welcome");
    let told = [welcome.limits.frame_bytes_max, welcome.limits.orders_per_call_max];
    assert_eq!(
        told.map(|limit| usize::try_from(limit).ok()),
        [Some(REQUEST_BYTES_MIN), Some(ORDERS_PER_CALL_MIN)]
    );
    assert!(stage.call(statuses(ORDERS_PER_CALL_MIN)).await.is_ok());
    assert_eq!(stage.call(statuses(ORDERS_PER_CALL_MIN + 1)).await, Err(Problem::TooMany));
    let length = |bytes: usize| u32::try_from(bytes).expect("a length").to_le_bytes();
    // Another server would take it.
    stage.send_bytes(&length(REQUEST_BYTES_MIN + 1)).await;
    stage.expect_closing(Problem::TooMany).await;
    // None would.
    let mut other = Stage::open(1, &world).await;
    other.send_bytes(&length(REQUEST_BYTES_MAX + 1)).await;
    other.expect_closing(Problem::Malformed).await;
}

/// The four bytes of its length were counted as well, and nobody has so much room: the session was never read
/// again.
#[actix::test]
async fn the_longest_request_is_taken_where_no_more_may_be_under_way() {
    let (frame, input) = (REQUEST_BYTES_MIN, REQUEST_BYTES_MIN);
    let world = within(ByteLimits { frame, input, ..ByteLimits::default() });
    let mut stage = Stage::open(1, &world).await;
    let encoded = |names: Vec<usize>| {
        let names = names.into_iter().map(|length| name(&"a".repeat(length))).collect();
        let mut bytes = Vec::new();
        let request = Request { correlation: Correlation(1), call: Call::Watch { names } };
        frame::encode(&request, &mut bytes);
        bytes
    };
    let [none, one] = [vec![], vec![16]].map(|names| encoded(names).len() - frame::LENGTH_BYTES);
    let (names, rest) = ((frame - none) / (one - none), (frame - none) % (one - none));
    let mut lengths = vec![16; names];
    lengths[0] += rest / 2;
    lengths[1] += rest.div_ceil(2);
    let longest = encoded(lengths);
    assert_eq!(longest.len(), frame::LENGTH_BYTES + frame);
    stage.send_bytes(&longest).await;
    assert_eq!(stage.response().await, (1, Err(Problem::TooMany)));
    assert!(stage.call(statuses(1)).await.is_ok());
}

#[actix::test]
async fn no_more_is_under_way_than_bytes_may_be_read_and_not_answered() {
    const TOGETHER: usize = 3;
    let call = Call::SubmitOrders { orders: vec![order(); ORDERS_PER_CALL_MIN] };
    let mut bytes = Vec::new();
    let request = Request { correlation: Correlation(1), call: call.clone() };
    frame::encode(&request, &mut bytes);
    let world = within(ByteLimits {
        frame: REQUEST_BYTES_MIN,
        input: TOGETHER * bytes.len(),
        ..ByteLimits::default()
    });
    let (verify, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.verify = verify);
    stage.be_welcomed().await;
    for correlation in 0..10 {
        stage.ask(correlation, call.clone()).await;
        settle().await;
    }
    let mut answered = 0;
    while answered < 10 {
        let there = questions.there();
        let orders: usize = there.iter().map(|(question, _)| question.orders.len()).sum();
        let expected = TOGETHER.min(10 - answered);
        assert_eq!(orders, expected * ORDERS_PER_CALL_MIN);
        for (question, reply) in there {
            reply.send(Ok(question.orders.iter().map(verify_order).collect()));
        }
        for _ in 0..expected {
            assert!(stage.response().await.1.is_ok());
        }
        answered += expected;
        settle().await;
    }
}

fn verify_order(order: &wire::SignedOrder) -> Result<VerifiedOrder, wire::InvalidSignature> {
    order.clone().verify()
}

/// The story: two hundred sessions ask for receipts that they may not have yet. Each is told to wait, at once and
/// without end, and whoever pays waits for seconds.
#[actix::test]
async fn who_is_refused_without_end_is_read_from_later() {
    const CALLS: u64 = 40;
    tokio::time::pause();
    let world = World::new();
    let mut stage = Stage::open(1, &world).await;
    let refused = statuses(ORDERS_PER_CALL_MAX + 1);
    let mut bytes = Vec::new();
    let request = Request { correlation: Correlation(1), call: refused.clone() };
    frame::encode(&request, &mut bytes);
    let begin = Instant::now();
    for correlation in 0..CALLS {
        stage.ask(correlation, refused.clone()).await;
    }
    for _ in 0..CALLS {
        assert_eq!(stage.response().await.1, Err(Problem::TooMany));
    }
    // What it takes to see that it is too much is one read, and the call that began in it.
    let sent = bytes.len() * 40;
    let pauses = u32::try_from(sent / (2 * REFUSED_BYTES_MAX + bytes.len())).expect("a few");
    assert!(pauses >= 3);
    let took = begin.elapsed();
    assert!(took >= REFUSED_PAUSE * pauses && took <= REFUSED_PAUSE * 4 * pauses, "{took:?}");
    // Whoever is refused now and then, or asks for what it may have, does not notice.
    tokio::time::sleep(REFUSED_PAUSE).await;
    let begin = Instant::now();
    for _ in 0..3 {
        assert_eq!(stage.call(refused.clone()).await, Err(Problem::TooMany));
    }
    for _ in 0..100 {
        assert!(stage.call(statuses(ORDERS_PER_CALL_MAX)).await.is_ok());
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

/// A peer that asks and reads nothing has so much waiting for it; then nothing more is done for it.
#[actix::test]
async fn no_more_is_due_than_bytes_may_wait_to_be_taken() {
    const CALLS: u64 = 20;
    let world = within(ByteLimits { output: OUTPUT_BYTES_MIN, ..ByteLimits::default() });
    let (find_receipts, mut questions) = slow();
    let mut stage = Stage::among(1, &world, |peers, _| peers.find_receipts = find_receipts);
    stage.be_welcomed().await;
    assert!(stage.call(Call::SubmitOrders { orders: vec![order()] }).await.is_ok());
    for correlation in 0..CALLS {
        stage.ask(correlation, statuses(ORDERS_PER_CALL_MAX)).await;
    }
    let (mut sought, mut bytes) = (0, 0);
    loop {
        settle().await;
        let there = questions.there();
        // The longest answer is as long as all that may be due.
        assert!(there.len() <= 1, "{} at once", there.len());
        let Some((question, reply)) = there.into_iter().next() else { break };
        sought += 1;
        let found = world.find_receipts(&question).expect("the archive is there");
        bytes = found.iter().flatten().map(wire_bytes).sum::<usize>();
        reply.send(Ok(found));
    }
    // What the stream takes is taken; behind it waits one answer that is not taken whole.
    assert_eq!(sought, STREAM_BYTES / bytes + 1, "of {bytes} bytes each");
    for _ in 0..CALLS {
        let answering = async {
            loop {
                let (question, reply) = questions.next().await;
                reply.send(world.find_receipts(&question));
            }
        };
        let (_, result) = tokio::select! {
            response = stage.response() => response,
            () = answering => unreachable!("it goes on for ever"),
        };
        assert!(result.is_ok(), "nothing is lost: the rest comes when there is room");
    }
}

fn wire_bytes(receipt: &Receipt) -> usize {
    let mut bytes = Vec::new();
    wire::codec::encode_into(receipt, &mut bytes);
    bytes.len()
}
