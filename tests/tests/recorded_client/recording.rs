//! The recorded exchanges of five clients with their servers, as steps.

use serde::Deserialize;

/// What two clients, their server and the link between them said.
pub(crate) struct Recording {
    /// `original with original`
    pub(crate) name: String,
    /// What the two did, in order.
    pub(crate) steps: Vec<Step>,
}

/// One thing that somebody did, and what was sent because of it.
pub(crate) struct Step {
    /// `alice` or `bob`.
    pub(crate) who: String,
    /// `start`, `register`, `login`, `pay`, `list` or `exit`.
    pub(crate) action: String,
    /// What was sent, in order.
    pub(crate) sent: Vec<Sent>,
}

/// Bytes that went one way.
pub(crate) struct Sent {
    pub(crate) way: Way,
    pub(crate) bytes: Vec<u8>,
}

/// From where to where. Alice is client 1 and pays, bob is client 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer(Side),
    FromServer(Side),
    ToPayee,
}

/// Which of the two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Alice,
    Bob,
}

impl Side {
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Alice => 0,
            Self::Bob => 1,
        }
    }
}

#[derive(Deserialize)]
struct RawRecording {
    client: String,
    server: String,
    events: Vec<RawEvent>,
}

#[derive(Deserialize)]
struct RawEvent {
    step: Option<String>,
    dir: Option<String>,
    on: Option<String>,
    hex: Option<String>,
}

/// All five.
pub(crate) fn all() -> Vec<Recording> {
    let raw: Vec<RawRecording> =
        serde_json::from_str(include_str!("../../data/recorded.json")).expect("recordings");
    assert_eq!(raw.len(), 5);
    raw.into_iter()
        .map(|RawRecording { client, server, events }| Recording {
            name: format!("{client} with {server}"),
            steps: steps(events),
        })
        .collect()
}

fn steps(events: Vec<RawEvent>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for RawEvent { step, dir, on, hex } in events {
        if let Some(step) = step {
            let (who, action) = step.split_once(' ').expect("who does what");
            steps.push(Step { who: who.into(), action: action.into(), sent: Vec::new() });
        } else if let (Some(dir), Some(on), Some(hex)) = (dir, on, hex) {
            let way = match (dir.as_str(), on.as_str()) {
                ("to_server", "client1") => Way::ToServer(Side::Alice),
                ("to_server", "client2") => Way::ToServer(Side::Bob),
                ("from_server", "client1") => Way::FromServer(Side::Alice),
                ("from_server", "client2") => Way::FromServer(Side::Bob),
                ("to_payee", "link1") => Way::ToPayee,
                other => panic!("{other:?}"),
            };
            let step = steps.last_mut().expect("a step comes first");
            step.sent.push(Sent { way, bytes: from_hex(&hex) });
        }
    }
    steps
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The request or reply in front of whatever ends it.
pub(crate) fn message_part(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| [0, b'\n', b'\r'].contains(byte));
    String::from_utf8(bytes[..end.unwrap_or(bytes.len())].to_vec()).expect("text")
}
