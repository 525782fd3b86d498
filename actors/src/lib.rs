//! Mite's actors, its messages, the ledger's rules and the journal.
//!
//! | module | holds |
//! |---|---|
//! | [`messages`] | every message, with a table of who sends it to whom |
//! | [`ledger`] | the money: pure rules, group commit, journal, snapshots |
//! | [`backup`] | copies of a data directory, of a running server, too |
//! | [`archive`] | histories, old receipts, open orders that are kept |
//! | [`registry`] | who is online and where |
//! | [`session`] | one connection to the server, text protocol |
//! | [`secure_session`] | one connection to the server, secure protocol |
//! | [`admin`] | one connection of an operator's program |
//! | [`verifier`] | signatures of orders, checked many at once |
//! | [`secure_wallet`] | the client's account over the secure protocol: pays, takes payments |
//! | [`secure_server_link`] | the client's connection to the server, secure protocol |
//! | [`secure_peer_link`] | connections between two clients, secure protocol |
//! | [`wallet`], [`server_link`], [`peer_link`] | the same three over the text protocol |
//! | [`fail_stop`] | actors whose panic ends the process |
//! | [`limits`] | how much of the server one address, one key and one session may have |
//! | [`wiring`] | who a server's sessions talk to |
//! | [`reason`] | the system's errors in words for people |
//! | `connection`, `frames`, `later` | what sessions, links and replies have in common |

pub mod admin;
pub mod archive;
pub mod backup;
mod connection;
pub mod fail_stop;
mod frames;
mod later;
pub mod ledger;
pub mod limits;
#[cfg(test)]
mod probe;
pub mod reason;

pub mod messages;
pub mod peer_link;
pub mod registry;
pub mod secure_peer_link;
pub mod secure_server_link;
pub mod secure_session;
pub mod secure_wallet;
pub mod server_link;
pub mod session;
pub mod verifier;
pub mod wallet;
pub mod wiring;
