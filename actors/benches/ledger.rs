//! The ledger's rules alone: what `State::apply_all` takes, without journal, actors and sockets.
//!
//! `cargo bench -p actors --bench ledger`

use std::cell::LazyCell;
use std::hint::black_box;

use actors::ledger::state::{Command, Outcome, State, Terms};
use criterion::{BatchSize, Criterion, Throughput};
use ed25519_zebra::SigningKey;
use rand::RngExt as _;
use wire::signature::public_key;
use wire::text::TextPayment;
use wire::{
    Access, AccountId, Amount, NewUsername, Order, OrderId, PublicKey, Timestamp, Username,
};

/// What one read of a busy connection brings.
const COMMANDS: u32 = 1000;

const NOW: Timestamp = Timestamp::new(1_790_000_000_000);

const TERMS: Terms = Terms { now: NOW, shown: NOW, server: PublicKey::new([9; 32]) };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    text_transfers(&mut criterion);
    openings(&mut criterion);
    orders(&mut criterion);
    criterion.final_summary();
}

/// All pay account 0, as if from its session; each payer is drawn anew, as if nobody had paid lately.
fn text_transfers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("text transfers");
    group.throughput(Throughput::Elements(COMMANDS.into()));
    for accounts in [1_000, 5_000_000] {
        let state = LazyCell::new(|| with_accounts(accounts));
        group.bench_function(format!("{accounts} accounts"), |bencher| {
            let mut state = state.clone();
            let mut rng = rand::rng();
            bencher.iter_batched(
                || (0..COMMANDS).map(|_| transfer(rng.random_range(1..accounts))).collect(),
                |commands| apply_all(&mut state, commands),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn openings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("openings");
    group.throughput(Throughput::Elements(COMMANDS.into()));
    group.bench_function("open accounts", |bencher| {
        bencher.iter_batched(
            || (State::default(), (0..COMMANDS).map(opening).collect()),
            |(mut state, commands)| {
                apply_all(&mut state, commands);
                state
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Each payer pays account 0 once. The signatures were verified before.
fn orders(criterion: &mut Criterion) {
    let mut state = with_accounts(1);
    let mut commands = Vec::new();
    for number in 0..COMMANDS {
        let key = SigningKey::new(rand::rng());
        let payer = format!("keyed{number}");
        let (name, access) = (new_name(&payer), Access::Keyed(public_key(&key)));
        state.apply(Command::OpenAccount { name, access, grant: GRANT }, &TERMS);
        commands.push(order(&payer, &key));
    }
    let mut group = criterion.benchmark_group("orders");
    group.throughput(Throughput::Elements(COMMANDS.into()));
    group.bench_function("each of another payer", |bencher| {
        bencher.iter_batched(
            || (state.clone(), commands.clone()),
            |(mut state, commands)| {
                apply_all(&mut state, commands);
                state
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

const GRANT: Amount = Amount::new(1_000_000_000);

fn apply_all(state: &mut State, commands: Vec<Command>) {
    state.apply_all(commands, &TERMS, |_, outcome, entry| {
        assert!(!matches!(outcome, Outcome::Refused(_) | Outcome::NotTaken(_)), "{outcome:?}");
        black_box(entry);
    });
}

fn with_accounts(count: u32) -> State {
    let mut state = State::default();
    for number in 0..count {
        state.apply(opening(number), &TERMS);
    }
    state
}

fn opening(number: u32) -> Command {
    Command::OpenAccount { name: new_name(&nth(number)), access: Access::Open, grant: GRANT }
}

fn transfer(payer: u32) -> Command {
    let (payer, payee) = (name(&nth(payer)), name(&nth(0)));
    let payment = TextPayment { payer, amount: Amount::new(1), payee };
    Command::TextTransfer { sender: AccountId::new(0), payment }
}

fn order(payer: &str, key: &SigningKey) -> Command {
    let not_after = Timestamp::new(TERMS.now.get() + 600_000);
    let order = Order {
        version: wire::order::ORDER_VERSION,
        server: TERMS.server,
        id: OrderId::new(not_after, rand::random()),
        payer: name(payer),
        payer_key: public_key(key),
        payee: name(&nth(0)),
        payee_key: None,
        amount: Amount::new(1),
        not_after,
        memo_hash: [0; 32],
    };
    let order = order.sign(key).verify().expect("signed by the payer");
    Command::Order { submitter: AccountId::new(0), order: Box::new(order) }
}

fn nth(number: u32) -> String {
    format!("user{number:07}")
}

fn name(text: &str) -> Username {
    text.parse().expect("a valid name")
}

fn new_name(text: &str) -> NewUsername {
    name(text).try_into().expect("a name that may be given")
}
