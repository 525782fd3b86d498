//! The whole system in one process, on a network and by clocks that are simulated: a server, clients who
//! pay each other, and all that can go wrong between them, out of one seed. The same seed is the same run.
//!
//! | module | holds |
//! |---|---|
//! | `world` | what the hosts share: people, disks, history, and who is heard saying what |
//! | `clock` | the server's clock, which can be set, and how long disks take |
//! | `background` | what runs beside the ledger, by the simulation's clock |
//! | `network` | connections that can be reset, and TLS over them |
//! | `server` | the server's host: the real actors over a journal in memory |
//! | `client` | a client's host: the real actors over a wallet in memory |
//! | `person` | what the person in front of a client does |
//! | `witness` | who hears all that a client asks the server, and all answers |
//! | `word` | the orders that the server has said will never be settled |
//! | `text_client` | a host of the text protocol: the real actors, and what the person in front of them does |
//! | `texts` | the payments by text, and who was told what of them |
//! | `faults` | what goes wrong, and when |
//! | `model` | what the journal comes to, by rules of this crate's own |
//! | `checker` | whether all that was said and heard agrees with it |
//!
//! Real are all actors, the frames, TLS, the signatures, and the ledger's bytes. Simulated are TCP (turmoil), time, and
//! disks. Not here is what the node adds around the actors: the listener's limits. Its look at the first byte is.
//! Random bytes inside TLS are the system's: they change what is on the wire, but neither how much nor when.

mod background;
mod checker;
mod client;
mod clock;
mod faults;
mod model;
mod network;
mod person;
mod server;
mod text_client;
mod texts;
mod witness;
mod word;
mod world;

use std::cell::Cell;
use std::fmt;
use std::panic;
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use turmoil::{Builder, Sim};

pub use self::checker::Counts;
use self::faults::Faults;
use self::texts::TEXT_PEOPLE;
use self::world::{PEOPLE, World};
use crate::random::Random;

/// How long the people pay each other while things go wrong.
const TROUBLE: Duration = Duration::from_mins(1);

/// How long everything may take to come to its end once nothing goes wrong any more: an order is valid for ten
/// minutes, a wallet asks every minute, and a server's answer is waited for for ten seconds.
const END_MAX: Duration = Duration::from_mins(12);

/// How exact the network's clock is. What is shorter takes this long on the wire; timers are exact.
const TICK: Duration = Duration::from_millis(20);

/// How long a message is under way, if nothing is wrong.
const LATENCY_MIN: Duration = Duration::from_millis(1);
const LATENCY_MAX: Duration = Duration::from_millis(60);

thread_local! {
    /// Whether anything has panicked on this thread: tokio keeps the panics of tasks to itself.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// What a run has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// All that was done, said and heard, in order, each with its time in milliseconds.
    pub history: Vec<String>,
    /// How much of it there was.
    pub counts: Counts,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// Which promise, and by whom.
    pub what: String,
    /// As in [`Report`].
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "replay: cargo run -p tests --bin simulate-network -- --first {} --seeds 1 --history yes",
            self.seed
        )
    }
}

impl std::error::Error for Failure {}

/// Runs the system that grows out of this seed: a minute of trouble, and the quiet behind it.
///
/// # Errors
/// [`Failure`]: the first promise that was not kept.
pub fn run(seed: u64) -> Result<Report, Box<Failure>> {
    notice_panics();
    let world = Rc::new(World::new(seed));
    let result = play(&world, seed).and_then(|()| checker::check(&world));
    let history = world.history();
    match result {
        Ok(counts) => Ok(Report { history, counts }),
        Err(what) => Err(Box::new(Failure { seed, what, history })),
    }
}

fn play(world: &Rc<World>, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    clock::start(&mut random);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::MAX)
        .min_message_latency(LATENCY_MIN)
        .max_message_latency(LATENCY_MAX)
        .tcp_capacity(1024)
        .enable_random_order()
        .build();
    sim.host(world::SERVER, {
        let world = Rc::clone(world);
        move || server::live(Rc::clone(&world))
    });
    for who in 0..PEOPLE {
        let world = Rc::clone(world);
        sim.host(world::host(who), move || client::live(Rc::clone(&world), who));
    }
    for who in PEOPLE..PEOPLE + TEXT_PEOPLE {
        let world = Rc::clone(world);
        sim.host(world::host(who), move || text_client::live(Rc::clone(&world), who));
    }
    let mut faults = Faults::plan(&mut random, TROUBLE);
    while sim.elapsed() < TROUBLE {
        faults.strike(&mut sim, world);
        step(&mut sim, world)?;
    }
    faults.end(&mut sim, world);
    world.calm_down();
    let calm_since = sim.elapsed();
    while !world.all_done() {
        if sim.elapsed() > calm_since + END_MAX {
            return Err(format!(
                "not at its end {} s after the last fault: {}",
                END_MAX.as_secs(),
                world.whats_open()
            ));
        }
        step(&mut sim, world)?;
    }
    Ok(())
}

fn step(sim: &mut Sim<'_>, world: &World) -> Result<(), String> {
    sim.step().map_err(|error| format!("a host has ended: {error}"))?;
    if PANICKED.replace(false) {
        return Err("something has panicked".to_owned());
    }
    world.first_violation().map_or(Ok(()), Err)
}

fn notice_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            report(info);
        }));
    });
    PANICKED.set(false);
}
