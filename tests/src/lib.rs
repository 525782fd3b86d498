//! What the whole-system tests share: real processes, real sockets, and exact bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`client`] | Mite's client, told what to do line by line |
//! | [`drill`] | load of every kind, and everybody killed under it |
//! | [`disk_simulation`] | a ledger on a disk that fails as a seed says |
//! | [`flood`] | floods of every kind, and an honest client that pays meanwhile |
//! | [`forge`] | signatures that are crafted, and receipts of one's own |
//! | [`fuzzing`] | what must hold for any bytes, by who reads them |
//! | [`golden`] | what releases have left behind, and what is known of it |
//! | [`http`] | what a program that watches over a server asks |
//! | [`listener`] | a listener that plays a server or a payee |
//! | [`lying_server`] | a server that lies when it is told to |
//! | [`operator`] | an operator, as a program and frame by frame |
//! | [`payee`] | a payee who goes as far as it is told and no further |
//! | [`person`] | a client over the secure protocol that does as it is told, and what it answers |
//! | [`process`] | the program under test as a child process, ended in any case |
//! | [`profile`] | the files of such a client, and programs that are started on them |
//! | [`purse`] | clients that can be killed and started again; the ledger as a witness |
//! | [`random`] | numbers that come again with the same seed |
//! | [`relay`] | a way to a server that can be closed at any point, or that changes what passes |
//! | [`secure`] | the secure protocol, frame by frame, with any key |
//! | [`simulation`] | the whole system in one process, on a simulated network, out of a seed |
//! | [`small_disk`] | a disk of its own that is really full |
//! | [`terminal`] | a terminal with a person in front of it |
//! | [`text`] | a connection that sends and expects exact bytes |

pub mod client;
pub mod disk_simulation;
pub mod drill;
pub mod flood;
pub mod forge;
pub mod fuzzing;
pub mod golden;
pub mod http;
pub mod listener;
pub mod lying_server;
pub mod operator;
pub mod payee;
pub mod person;
pub mod process;
pub mod profile;
pub mod purse;
pub mod random;
pub mod relay;
pub mod secure;
pub mod simulation;
pub mod small_disk;
pub mod terminal;
pub mod text;
