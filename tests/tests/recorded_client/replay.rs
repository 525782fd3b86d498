//! A server that says what a recorded one said.
//!
//! What it must be asked is what the recorded server was asked. `List` alone may be asked for at any
//! time, since programs of the family differ in how often they do; it is answered with the list
//! that the recorded server gave next.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use tests::listener::Listener;

use super::recording::{Recording, Side, Step, Way, message_part};

/// The ports that the recorded clients had.
const RECORDED_PORTS: [&str; 2] = ["#5001", "#5002"];
/// What a server said to the rest of a buffer that was longer than its own. Mite sends no such rest.
const ANSWER_TO_GARBAGE: &[u8] = b"230 Input format error\n";

/// The server.
pub(crate) struct Replay {
    listener: Listener,
    script: Arc<Mutex<Script>>,
}

struct Script {
    recording: Recording,
    step: usize,
    /// How many requests of the step, `List` aside, have come.
    asked: usize,
    /// Where in `recording.steps[step].sent` the next list for each client is looked for.
    lists_from: [usize; 2],
    clients: [Option<TcpStream>; 2],
    /// `#41234` where the recorded clients had `#5001` and `#5002`.
    ports: [Option<String>; 2],
    surprises: Vec<String>,
}

impl Replay {
    /// Listens for the two clients.
    pub(crate) fn start(recording: Recording) -> Self {
        let script = Script {
            recording,
            step: 0,
            asked: 0,
            lists_from: [0; 2],
            clients: [None, None],
            ports: [None, None],
            surprises: Vec::new(),
        };
        Self { listener: Listener::open(), script: Arc::new(Mutex::new(script)) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// Goes to a step.
    pub(crate) fn begin(&self, step: usize) {
        let mut script = lock(&self.script);
        (script.step, script.asked, script.lists_from) = (step, 0, [0; 2]);
    }

    /// Gives the lists of the step again, to whoever asks again.
    pub(crate) fn begin_list_again(&self) {
        lock(&self.script).lists_from = [0; 2];
    }

    /// Takes the connection of this client.
    pub(crate) fn accept(&self, side: Side) {
        let stream = self.listener.accept_stream();
        let writer = stream.try_clone().expect("a live socket");
        lock(&self.script).clients[side.index()] = Some(writer);
        let script = Arc::clone(&self.script);
        thread::spawn(move || serve(stream, side, &script));
    }

    /// Expects that everything that was asked in the recorded step has been asked, and nothing else.
    #[track_caller]
    pub(crate) fn finish_step(&self) {
        let script = lock(&self.script);
        let name = &script.recording.name;
        assert!(script.surprises.is_empty(), "{name}: {:?}", script.surprises);
        let recorded = script.requests().count();
        let step = &script.recording.steps[script.step];
        assert_eq!(script.asked, recorded, "{name}: requests of {} {}", step.who, step.action);
    }

    /// The list that the recorded server gave this client in this step or next, with the real ports.
    pub(crate) fn list(&self, side: Side) -> String {
        String::from_utf8(lock(&self.script).next_list(side)).expect("lists are text")
    }
}

impl Script {
    fn requests(&self) -> impl Iterator<Item = (usize, Side, String)> {
        let sent = self.recording.steps[self.step].sent.iter().enumerate();
        sent.filter_map(|(at, sent)| match (sent.way, message_part(&sent.bytes)) {
            (Way::ToServer(side), message) if message != "List" => Some((at, side, message)),
            _ => None,
        })
    }

    /// What to send to whom for this request.
    fn answer(&mut self, side: Side, message: &str) -> Vec<(Side, Vec<u8>)> {
        if message == "List" {
            return vec![(side, self.next_list(side))];
        }
        self.learn_port(side, message);
        let wanted = self.requests().nth(self.asked);
        self.asked += 1;
        let Some((at, recorded_side, recorded)) = wanted else {
            self.surprises.push(format!("{side:?} asks {message:?}, which nobody did"));
            return Vec::new();
        };
        if (recorded_side, self.with_real_ports(recorded.as_bytes())) != (side, message.into()) {
            self.surprises.push(format!("{side:?} asks {message:?} instead of {recorded:?}"));
        }
        self.lists_from = [at + 1; 2];
        let behind = &self.recording.steps[self.step].sent[at + 1..];
        let replies = behind.iter().take_while(|sent| !matches!(sent.way, Way::ToServer(_)));
        replies
            .filter_map(|sent| match sent.way {
                Way::FromServer(to) if sent.bytes != ANSWER_TO_GARBAGE => {
                    Some((to, self.with_real_ports(&sent.bytes)))
                }
                _ => None,
            })
            .collect()
    }

    /// The recorded list behind what was asked so far.
    fn next_list(&mut self, side: Side) -> Vec<u8> {
        let is_list = |step: &Step, at: usize| {
            step.sent[at].way == Way::FromServer(side)
                && step.sent[at].bytes.first().is_some_and(u8::is_ascii_digit)
                && step.sent[at].bytes.contains(&b'#')
        };
        let here = &self.recording.steps[self.step];
        let from = self.lists_from[side.index()];
        let in_step = (from..here.sent.len()).find(|at| is_list(here, *at));
        if let Some(at) = in_step {
            self.lists_from[side.index()] = at + 1;
            return self.with_real_ports(&self.recording.steps[self.step].sent[at].bytes);
        }
        let later = &self.recording.steps[self.step + 1..];
        let found = later.iter().find_map(|step| {
            let at = (0..step.sent.len()).find(|at| is_list(step, *at))?;
            Some(self.with_real_ports(&step.sent[at].bytes))
        });
        found.expect("nobody asks for a list after the last one")
    }

    fn learn_port(&mut self, side: Side, message: &str) {
        let is_log_in = self.recording.steps[self.step].action == "login";
        if let Some((_, port)) = message.split_once('#').filter(|_| is_log_in) {
            self.ports[side.index()] = Some(format!("#{port}"));
        }
    }

    fn with_real_ports(&self, bytes: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8(bytes.to_vec()).expect("replies are text");
        for (recorded, real) in RECORDED_PORTS.iter().zip(&self.ports) {
            if let Some(real) = real {
                text = text.replace(recorded, real);
            }
        }
        text.into_bytes()
    }
}

fn serve(mut stream: TcpStream, side: Side, script: &Mutex<Script>) {
    let mut read = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        read.extend_from_slice(&bytes[..length]);
        while let Some(end) = read.iter().position(|byte| *byte == 0) {
            let message: Vec<u8> = read.drain(..=end).take(end).collect();
            let message = String::from_utf8(message).expect("Mite sends text");
            let mut script = lock(script);
            for (to, bytes) in script.answer(side, &message) {
                let client = script.clients[to.index()].as_mut().expect("it is connected");
                // The other one may have left.
                let _ = client.write_all(&bytes);
            }
            if message == "Exit" {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    // A thread that failed has said so already.
    script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
