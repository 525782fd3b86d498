//! x
use std::net::SocketAddr;
use crate::{Amount, Username};
/// The reply to a log-in or to `List`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountList {
    /// What the asking account holds.
    pub balance: Amount,
    /// The server's key line, if the server has one.
    pub server_key: Option<String>,
    /// Who is online and where, in the server's order. Lines that name nobody that could exist are
    /// left out.
    pub online: Vec<OnlineUser>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineUser {
    /// Who.
    pub name: Username,
    /// Where its client takes payments.
    pub address: SocketAddr,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerReply {
    /// Yes, in the server's words.
    Ok(String),
    /// No, in the server's words.
    Failed(String),
    /// The list.
    List(AccountList),
    /// Farewell.
    Bye,
}
