//! Recorded exchanges of five programs of the family, replayed byte for byte with Mite as the server.
//!
//! What their servers sent is what Mite must send, with these exceptions, each settled by the
//! protocol's description:
//! - The key line: each server has its own key.
//! - The reference server closes after `Exit` without a word; Mite says `Bye` first, to all.
//! - The reference server takes the garbage behind a payment's NUL for a second request and answers
//!   `230 Input format error`; Mite throws it away. Recorded once, with `relative-1`.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use tests::process::Server;
use tests::text::Connection;

const MITE: &str = env!("CARGO_BIN_EXE_mite-under-test");
const RECORDED: &str = include_str!("../data/recorded.json");

/// What stands where the server's key would be.
const RECORDED_KEY_LINES: [&str; 2] = ["<SERVER_PUBLIC_KEY>\n", "public key\n"];
const BYE: &str = "Bye\n";
const GARBAGE_ANSWERED: &str = "230 Input format error\n";

#[derive(Deserialize)]
struct Recording {
    client: String,
    server: String,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    step: String,
    #[serde(default)]
    dir: String,
    #[serde(default)]
    on: String,
    hex: Option<String>,
    #[serde(default)]
    close: bool,
}

/// What was left out of a replay, or added to it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deviations {
    bye_added: usize,
    garbage_not_answered: usize,
}

/// One recording as it is replayed.
struct Replay<'a> {
    server: &'a Server,
    reference: bool,
    connections: HashMap<String, Connection>,
    /// Mite's, once it was seen.
    key: Option<String>,
    deviations: Deviations,
}

impl Replay<'_> {
    fn play(&mut self, event: &Event) {
        if !matches!(event.dir.as_str(), "to_server" | "from_server") {
            assert!(!event.step.is_empty() || event.on == "link1", "an event of another kind");
            return;
        }
        let address = self.server.address;
        let connection =
            self.connections.entry(event.on.clone()).or_insert_with(|| Connection::open(address));
        match (event.dir.as_str(), event.hex.as_deref()) {
            ("to_server", Some(hex)) => {
                let request = bytes(hex);
                connection.send(&request);
                if self.reference && request.starts_with(b"Exit") {
                    connection.expect(BYE);
                    self.deviations.bye_added += 1;
                }
            }
            ("from_server", Some(hex)) => {
                let reply = String::from_utf8(bytes(hex)).expect("servers send text");
                if self.reference && reply == GARBAGE_ANSWERED {
                    self.deviations.garbage_not_answered += 1;
                    return;
                }
                expect_with_key(connection, &reply, &mut self.key);
            }
            ("to_server", None) if event.close => connection.finish_sending(),
            ("from_server", None) if event.close => connection.expect_close(),
            _ => panic!("an event without bytes and end"),
        }
    }
}

/// Expects what was recorded, with Mite's key in the place of the other server's.
fn expect_with_key(connection: &mut Connection, recorded: &str, key: &mut Option<String>) {
    let parts = RECORDED_KEY_LINES.iter().find_map(|line| recorded.split_once(line));
    let Some((head, tail)) = parts else {
        return connection.expect(recorded);
    };
    connection.expect(head);
    let line = connection.line();
    assert_eq!(key.get_or_insert_with(|| line.clone()), &line);
    assert_eq!(line.len(), 43, "{line:?} is a key in base64url");
    connection.expect(tail);
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("recorded in hex"))
        .collect()
}

fn replay(recording: &Recording) -> Deviations {
    let data = tempfile::tempdir().expect("a temporary directory");
    let reference = recording.server == "reference";
    let dialect = if reference { "ta2021" } else { "seed" };
    let server = Server::start(MITE, data.path(), &["--text-dialect", dialect]);
    let mut replay = Replay {
        server: &server,
        reference,
        connections: HashMap::new(),
        key: None,
        deviations: Deviations::default(),
    };
    for (index, event) in recording.events.iter().enumerate() {
        println!("{} event {index}: {} {} {}", recording.client, event.step, event.dir, event.on);
        replay.play(event);
    }
    assert_eq!(replay.connections.len(), 2, "two clients were recorded");
    for (name, mut connection) in replay.connections {
        println!("{} end of {name}", recording.client);
        connection.expect_close();
    }
    replay.deviations
}

/// Protects the programs of the family: with Mite as their server they get the bytes that they got
/// from their own.
#[test]
fn the_programs_of_the_family_get_what_their_own_servers_send() {
    let recordings: Vec<Recording> = serde_json::from_str(RECORDED).expect("recordings");
    let deviations: BTreeMap<_, _> =
        recordings.iter().map(|recording| (recording.client.as_str(), replay(recording))).collect();
    let byes = |garbage| Deviations { bye_added: 2, garbage_not_answered: garbage };
    let expected = [
        ("original", Deviations::default()),
        ("relative-1", byes(1)),
        ("relative-2", byes(0)),
        ("relative-3", byes(0)),
        ("relative-4", byes(0)),
    ];
    assert_eq!(deviations, BTreeMap::from(expected));
}
