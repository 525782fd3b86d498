//! The loop that sends and receives: one thread, one poll of all connections, no copy of a request.
//!
//! It asks as fast as the server answers, with so many under way on each connection, or at a fixed rate.
//! At a fixed rate, latency counts from the moment at which a request was due, whether or not it
//! could be sent then; otherwise a server that stalls would have nothing to answer for.

mod pace;
mod record;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

pub(crate) use self::pace::Pace;
use self::pace::{Clock, Run, UnderWay};
pub(crate) use self::record::{Measured, Moment, Recorder, histogram};
use super::error::BenchError;

/// How long a server may say nothing while requests are under way.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest wait: how soon it is noticed that somebody has pressed Ctrl-C.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How much work of a fixed rate is done at once: less than a batch takes.
const WORK_AT_ONCE_MAX: u64 = 1 << 15;
/// Events taken at once, more than which wait for the next turn.
const EVENTS_MAX: usize = 256;

/// One connection, in the protocol that it speaks. Its stream does not block.
pub(crate) trait Connection: Send {
    /// What the answers come on.
    fn stream(&self) -> &TcpStream;

    /// Adds so many requests behind those that wait to be sent, or fewer if there is no room for them
    /// or none are left. Returns how many.
    fn ask(&mut self, count: u64) -> Result<u64, BenchError>;

    /// Whether no request is left to be added.
    fn is_exhausted(&self) -> bool {
        false
    }

    /// Sends what waits, as far as the system takes it. Returns whether all is sent.
    fn flush(&mut self) -> Result<bool, BenchError>;

    /// Reads what has come, once. Returns how many requests it answers, each as it must be.
    fn receive(&mut self) -> Result<u64, BenchError>;
}

/// What a thread that measures shares with the one that shows it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    stopped: AtomicBool,
    answered: AtomicU64,
}

impl Watch {
    /// Whether nobody waits for the result any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How much is done.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// More is done.
    pub(crate) fn add(&self, answered: u64) {
        self.answered.fetch_add(answered, Ordering::Relaxed);
    }

    pub(super) fn stop_on_drop(self: &Arc<Self>) -> impl Drop + use<> {
        struct Stopper(Arc<Watch>);
        impl Drop for Stopper {
            fn drop(&mut self) {
                self.0.stopped.store(true, Ordering::Relaxed);
            }
        }
        Stopper(Arc::clone(self))
    }
}

/// Connections that carry load.
pub(crate) struct Load<C> {
    lanes: Vec<Lane<C>>,
    /// Which lane is the first to ask for what is due next.
    turn: usize,
    epoll: OwnedFd,
}

/// A connection, and what is under way on it.
struct Lane<C> {
    connection: C,
    under_way: UnderWay,
    /// Whether the system had no room for all that is to be sent.
    blocked: bool,
}

impl<C: Connection> Load<C> {
    /// The connections, while nothing is under way.
    pub(crate) fn connections(&mut self) -> impl Iterator<Item = &mut C> {
        self.lanes.iter_mut().map(|lane| &mut lane.connection)
    }

    /// Nothing is under way yet.
    pub(crate) fn new(connections: Vec<C>) -> Result<Self, BenchError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(broken)?;
        let lane = |connection| Lane { connection, under_way: UnderWay::new(), blocked: false };
        let lanes: Vec<_> = connections.into_iter().map(lane).collect();
        for (number, lane) in (0..).zip(&lanes) {
            let data = epoll::EventData::new_u64(number);
            let stream = lane.connection.stream();
            epoll::add(&epoll, stream, data, epoll::EventFlags::IN).map_err(broken)?;
        }
        Ok(Self { lanes, turn: 0, epoll })
    }

    /// Carries load for so long, or until no connection has anything left to ask; then waits until all
    /// is answered.
    pub(crate) fn run(
        &mut self,
        pace: Pace,
        duration: Duration,
        watch: &Watch,
    ) -> Result<Measured, BenchError> {
        let mut recorder = Recorder::start(duration);
        let mut clock = pace.clock();
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut heard = Duration::ZERO;
        self.ask_due(&mut clock, Duration::ZERO)?;
        loop {
            let now = recorder.now();
            let exhausted = self.lanes.iter().all(|lane| lane.connection.is_exhausted());
            if exhausted {
                recorder.end_early(now);
            }
            let end = recorder.duration();
            let asking = !exhausted && (now < end || clock.is_late(end));
            if !asking && self.lanes.iter().all(|lane| lane.under_way.is_empty()) {
                return Ok(recorder.finish());
            }
            if watch.is_stopped() {
                return Err(BenchError::Interrupted);
            }
            if now.saturating_sub(heard) > SILENCE_MAX {
                return Err(BenchError::Silent(SILENCE_MAX));
            }
            if asking {
                self.ask_due(&mut clock, now.min(end))?;
            }
            self.wait(&mut events, if asking { clock.wait_max() } else { WAIT_MAX })?;
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64()).expect("it numbers a lane");
                if self.receive(number, &mut recorder, watch)? {
                    heard = recorder.now();
                }
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.flush(number)?;
                }
            }
        }
    }

    /// Asks for all that is due, on the lane whose turn it is and, as far as that has no room, on those
    /// behind it. To divide what little is due at a time would take a system call for each lane.
    fn ask_due(&mut self, clock: &mut Clock, now: Duration) -> Result<(), BenchError> {
        let first = self.turn;
        self.turn = (first + 1) % self.lanes.len();
        for number in (first..self.lanes.len()).chain(0..first) {
            let lane = &mut self.lanes[number];
            let Some(run) = clock.take(now, lane.under_way.count()) else { continue };
            let asked = lane.connection.ask(run.count)?;
            clock.give_back(run.count - asked);
            if asked > 0 {
                lane.under_way.push(Run { count: asked, ..run });
                self.flush(number)?;
            }
        }
        Ok(())
    }

    /// Returns whether anything was answered.
    fn receive(
        &mut self,
        number: usize,
        recorder: &mut Recorder,
        watch: &Watch,
    ) -> Result<bool, BenchError> {
        let lane = &mut self.lanes[number];
        let answered = lane.connection.receive()?;
        if answered > 0 {
            watch.add(answered);
            lane.under_way.answered(answered, recorder)?;
        }
        Ok(answered > 0)
    }

    fn flush(&mut self, number: usize) -> Result<(), BenchError> {
        let lane = &mut self.lanes[number];
        let blocked = !lane.connection.flush()?;
        if blocked != lane.blocked {
            lane.blocked = blocked;
            let flags = epoll::EventFlags::IN;
            let flags = if blocked { flags | epoll::EventFlags::OUT } else { flags };
            let data = epoll::EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, lane.connection.stream(), data, flags).map_err(broken)?;
        }
        Ok(())
    }

    /// Waits until something comes, at most so long.
    fn wait(&self, events: &mut Vec<epoll::Event>, longest: Duration) -> Result<(), BenchError> {
        let longest = Timespec::try_from(longest).expect("it is less than a second");
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&longest)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }
}

/// Does, for so long, what becomes due at a fixed rate, as much of it at once as is due. `work` says when
/// that is done.
pub(crate) fn work_at_rate(
    per_second: u64,
    duration: Duration,
    watch: &Watch,
    mut work: impl FnMut(u64) -> Result<(), BenchError>,
) -> Result<Measured, BenchError> {
    let mut recorder = Recorder::start(duration);
    let mut clock = Pace::Rate { per_second, window: WORK_AT_ONCE_MAX }.clock();
    let mut under_way = UnderWay::new();
    while recorder.now() < duration || clock.is_late(duration) {
        if watch.is_stopped() {
            return Err(BenchError::Interrupted);
        }
        let Some(run) = clock.take(recorder.now().min(duration), 0) else {
            std::thread::sleep(clock.wait_max());
            continue;
        };
        let count = run.count;
        under_way.push(run);
        work(count)?;
        under_way.answered(count, &mut recorder)?;
    }
    Ok(recorder.finish())
}

fn broken(error: Errno) -> BenchError {
    BenchError::Connection(error.into())
}
