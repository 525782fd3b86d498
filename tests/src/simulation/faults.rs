//! What goes wrong, and when: all of it chosen before the run begins.

use std::time::Duration;

use turmoil::Sim;

use super::clock;
use super::texts::TEXT_PEOPLE;
use super::world::{PEOPLE, SERVER, World, host};
use crate::random::Random;

/// How many faults there are in a run at most.
const FAULTS_MAX: u64 = 16;

/// How long one lasts at most: longer than anybody waits for an answer.
const LASTS_MS_MAX: u64 = 25_000;

/// By how much the server's clock is set wrong at most: half a day.
const WRONG_MS_MAX: u64 = 12 * 3600 * 1000;

/// By how much the server's clock is ahead at most before the power goes: orders are valid for ten minutes.
const LAPSE_MS_MAX: u64 = 20 * 60 * 1000;

/// How long a message may take on a link that is slow.
const SLOW_MS_MAX: u64 = 4000;

/// The faults of a run that have not struck, and those that are not over.
pub(super) struct Faults {
    /// In order of time, the next one last.
    to_come: Vec<(Duration, Fault)>,
    random: Random,
    /// What ends the faults that there are, in any order.
    to_end: Vec<(Duration, Fault)>,
}

/// Two hosts.
type Link = (String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing arrives, and what was under way is lost.
    Partition(Link),
    /// The same in one direction.
    OneWay(Link),
    /// Nothing arrives for a while, and then all of it.
    Hold(Link),
    /// Messages take long.
    Slow(Link, Duration),
    /// All connections break.
    Reset(Link),
    /// The power goes, and comes back.
    Crash(String),
    /// The server is told to stop, and is started again.
    Stop,
    /// The server's clock is set.
    Clock(i64),
    /// The server's clock is ahead; then the power goes, and it comes back with a clock that is right.
    Lapse(i64),
}

impl Faults {
    /// Chooses what goes wrong in so much time.
    pub(super) fn plan(random: &mut Random, trouble: Duration) -> Self {
        let trouble_ms = u64::try_from(trouble.as_millis()).unwrap_or(u64::MAX);
        let count = random.below(FAULTS_MAX + 1);
        let mut to_come: Vec<_> = (0..count)
            .map(|_| {
                let at = Duration::from_millis(random.below(trouble_ms));
                (at, Fault::choose(random))
            })
            .collect();
        to_come.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self { to_come, random: Random::new(random.below(u64::MAX)), to_end: Vec::new() }
    }

    /// Lets strike and end what is due.
    pub(super) fn strike(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        let over: Vec<_> = self.to_end.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, fault) in over {
            fault.end(sim, world);
        }
        while let Some((_, fault)) = self.to_come.pop_if(|(at, _)| *at <= now) {
            // One at a time on each link and each host.
            if self.to_end.iter().any(|(_, other)| other.excludes(&fault)) {
                continue;
            }
            world.write(&format!("FAULT {fault:?} at {} ms", now.as_millis()));
            world.count_fault();
            fault.begin(sim, world, &mut self.random);
            let lasts = Duration::from_millis(200 + self.random.below(LASTS_MS_MAX));
            self.to_end.push((now + lasts, fault));
        }
    }

    /// Ends everything.
    pub(super) fn end(self, sim: &mut Sim<'_>, world: &World) {
        for (_, fault) in self.to_end {
            fault.end(sim, world);
        }
    }
}

impl Fault {
    fn choose(random: &mut Random) -> Self {
        match random.below(18) {
            0 | 1 => Self::Partition(link(random)),
            2 | 3 => Self::OneWay(link(random)),
            4 | 5 => Self::Hold(link(random)),
            6 | 7 => {
                let latency = Duration::from_millis(100 + random.below(SLOW_MS_MAX));
                Self::Slow(link(random), latency)
            }
            8 | 9 => Self::Reset(link(random)),
            10 | 11 => Self::Crash(SERVER.to_owned()),
            12 => Self::Stop,
            13 | 14 => Self::Crash(client(random)),
            15 | 16 => {
                let by = 1 + random.below(LAPSE_MS_MAX);
                Self::Lapse(i64::try_from(by).expect("some minutes"))
            }
            _ => {
                let by = i64::try_from(random.below(WRONG_MS_MAX)).expect("half a day");
                Self::Clock(if random.below(2) == 0 { by } else { -by })
            }
        }
    }

    /// Whether the other one cannot strike while this one lasts.
    fn excludes(&self, other: &Self) -> bool {
        if let (Some((one, two)), Some((other_one, other_two))) = (self.link(), other.link()) {
            return (one, two) == (other_one, other_two) || (one, two) == (other_two, other_one);
        }
        if let (Some(one), Some(other)) = (self.host(), other.host()) {
            return one == other;
        }
        let sets_clock = |fault: &Self| matches!(fault, Self::Clock(_) | Self::Lapse(_));
        sets_clock(self) && sets_clock(other)
    }

    const fn link(&self) -> Option<&Link> {
        match self {
            Self::Partition(link)
            | Self::OneWay(link)
            | Self::Hold(link)
            | Self::Slow(link, _)
            | Self::Reset(link) => Some(link),
            Self::Crash(_) | Self::Stop | Self::Clock(_) | Self::Lapse(_) => None,
        }
    }

    fn host(&self) -> Option<&str> {
        match self {
            Self::Crash(host) => Some(host),
            Self::Stop | Self::Lapse(_) => Some(SERVER),
            _ => None,
        }
    }

    fn begin(&self, sim: &mut Sim<'_>, world: &World, random: &mut Random) {
        match self {
            Self::Partition((one, other)) => sim.partition(one.as_str(), other.as_str()),
            Self::OneWay((from, to)) => sim.partition_oneway(from.as_str(), to.as_str()),
            Self::Hold((one, other)) => sim.hold(one.as_str(), other.as_str()),
            Self::Slow((one, other), latency) => {
                sim.set_link_max_message_latency(one.as_str(), other.as_str(), *latency);
            }
            Self::Reset((one, other)) => {
                world.wires.reset(sim.lookup(one.as_str()), sim.lookup(other.as_str()));
            }
            Self::Crash(host) => {
                sim.crash(host.as_str());
                if host == SERVER {
                    world.journal.crash(|_, _| random.below(2) == 0);
                }
            }
            Self::Stop => world.stop_server(),
            Self::Clock(by) | Self::Lapse(by) => clock::set(*by),
        }
    }

    fn end(&self, sim: &mut Sim<'_>, world: &World) {
        match self {
            Self::Partition((one, other)) => sim.repair(one.as_str(), other.as_str()),
            Self::OneWay((from, to)) => sim.repair_oneway(from.as_str(), to.as_str()),
            Self::Hold((one, other)) => sim.release(one.as_str(), other.as_str()),
            Self::Slow((one, other), _) => {
                let usual = super::LATENCY_MAX;
                sim.set_link_max_message_latency(one.as_str(), other.as_str(), usual);
            }
            Self::Reset(_) => return,
            Self::Crash(host) => sim.bounce(host.as_str()),
            Self::Stop => {
                sim.crash(SERVER);
                sim.bounce(SERVER);
            }
            Self::Lapse(_) => {
                clock::set(0);
                sim.crash(SERVER);
                world.journal.crash(|_, _| false);
                sim.bounce(SERVER);
            }
            // Whoever has noticed sets it right, or nobody does.
            Self::Clock(by) => clock::set(if by % 2 == 0 { 0 } else { *by }),
        }
        world.write(&format!("OVER {self:?} at {} ms", sim.elapsed().as_millis()));
    }
}

/// Two hosts: mostly a client and the server.
fn link(random: &mut Random) -> Link {
    let (one, other) = (client(random), client(random));
    let pair =
        if one == other || random.below(3) > 0 { (one, SERVER.to_owned()) } else { (one, other) };
    if random.below(2) == 0 { pair } else { (pair.1, pair.0) }
}

fn client(random: &mut Random) -> String {
    host(usize::try_from(random.below((PEOPLE + TEXT_PEOPLE) as u64)).expect("there are few"))
}
