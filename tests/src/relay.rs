//! A way between a client and its server, or between two clients, that a test can close at any
//! point, and on which it can change what passes.
//!
//! What passes is counted in TLS records, not in reads: how the system cuts a stream into reads
//! differs from run to run, and of a record that is not whole nobody can read a byte.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// Type, version and length in front of each record (RFC 8446, section 5.1).
const RECORD_HEADER_BYTES: usize = 5;

/// How long to wait before somebody else is asked again whether they are done.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Takes connections on a free port of the loopback interface and passes what they say on to where
/// they should go, and back. Everything passes until [`Relay::hold_after`].
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    gate: Mutex<Gate>,
    changed: Condvar,
    change: Box<Change>,
}

/// Which way a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From whoever has connected.
    There,
    /// Back to them.
    Back,
}

/// Changes a record, which comes with its header.
type Change = dyn Fn(Way, &mut [u8]) + Send + Sync;

struct Gate {
    /// Records that may pass; all if it is `None`.
    left: Option<u64>,
    /// Records that wait to pass.
    held: usize,
    /// How often connections were cut: those from before the last time are dead.
    cuts: u64,
    streams: Vec<TcpStream>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A record waits that may not pass.
    Held,
    /// What was to be done is done.
    Done,
}

impl Relay {
    /// A way to `target`.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn to(target: SocketAddr) -> Self {
        Self::changing(target, |_, _| {})
    }

    /// A way to `target` on which every record is changed so before it passes.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn changing(
        target: SocketAddr,
        change: impl Fn(Way, &mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let gate = Gate { left: None, held: 0, cuts: 0, streams: Vec::new() };
        let shared = Arc::new(Shared {
            gate: Mutex::new(gate),
            changed: Condvar::new(),
            change: Box::new(change),
        });
        let relay = Self { address, shared: Arc::clone(&shared) };
        // It sits in `accept` until the tests end; nobody waits for it.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Without a target, it is as if it had never been there.
                let _ = shared.join(stream, target);
            }
        });
        relay
    }

    /// From now on so many records pass, of all connections and both directions together; what
    /// comes behind them waits. Connections stay open.
    pub fn hold_after(&self, records: u64) {
        self.shared.lock().left = Some(records);
    }

    /// Waits until a record waits, or `done` says that there is no need to.
    ///
    /// # Panics
    /// If neither happens within [`PATIENCE`].
    pub fn held_or(&self, mut done: impl FnMut() -> bool) -> Stopped {
        let began = Instant::now();
        loop {
            if done() {
                return Stopped::Done;
            }
            let gate = self.shared.lock();
            if gate.held > 0 {
                return Stopped::Held;
            }
            assert!(began.elapsed() < PATIENCE, "nothing is held and nothing is done");
            drop(self.shared.changed.wait_timeout(gate, LOOK_INTERVAL));
        }
    }

    /// What was held passes, late, and everything behind it.
    pub fn go_on(&self) {
        self.shared.lock().left = None;
        self.shared.changed.notify_all();
    }

    /// Ends all connections that there are: what was held is lost. Later ones pass.
    pub fn cut(&self) {
        let mut gate = self.shared.lock();
        gate.left = None;
        gate.cuts += 1;
        for stream in gate.streams.drain(..) {
            // Its other end may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins whoever has connected to the target.
    fn join(self: &Arc<Self>, near: TcpStream, target: SocketAddr) -> io::Result<()> {
        let far = TcpStream::connect(target)?;
        let cuts = {
            let mut gate = self.lock();
            gate.streams.extend([near.try_clone()?, far.try_clone()?]);
            gate.cuts
        };
        let there = (Way::There, near.try_clone()?, far.try_clone()?);
        for (way, from, to) in [there, (Way::Back, far, near)] {
            to.set_nodelay(true)?;
            let shared = Arc::clone(self);
            thread::spawn(move || {
                // However it ended, nothing more comes from there.
                let _ = shared.pass_on(way, &from, &to, cuts);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
        Ok(())
    }

    /// Passes records on until there are no more.
    fn pass_on(
        &self,
        way: Way,
        mut from: &TcpStream,
        mut to: &TcpStream,
        cuts: u64,
    ) -> io::Result<()> {
        loop {
            let mut header = [0; RECORD_HEADER_BYTES];
            from.read_exact(&mut header)?;
            let [_, _, _, high, low] = header;
            let mut record = header.to_vec();
            record.resize(header.len() + usize::from(u16::from_be_bytes([high, low])), 0);
            from.read_exact(&mut record[header.len()..])?;
            if !self.may_pass(cuts) {
                return Ok(());
            }
            (self.change)(way, &mut record);
            to.write_all(&record)?;
        }
    }

    /// Waits until a record may pass; false if its connection is cut first.
    fn may_pass(&self, cuts: u64) -> bool {
        let mut gate = self.lock();
        if gate.left == Some(0) {
            gate.held += 1;
            self.changed.notify_all();
            let waits = |gate: &mut Gate| gate.cuts == cuts && gate.left == Some(0);
            let woken = self.changed.wait_while(gate, waits);
            gate = woken.unwrap_or_else(PoisonError::into_inner);
            gate.held -= 1;
        }
        if let Some(left) = &mut gate.left {
            *left -= 1;
        }
        gate.cuts == cuts
    }
}
