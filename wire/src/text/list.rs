//! Lists: the reply to a log-in or to `List`, as any server of the family writes it.

use std::net::{IpAddr, SocketAddr};

use crate::{Amount, P2pPort, Username};

/// The largest count that a list announces; a larger number is no count.
const LIST_COUNT_MAX: usize = 100_000;

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

/// How much of a list must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    /// A count, and as many lines.
    Counted,
    /// The same, or no count at all.
    CountedOrUncounted,
    /// The balance.
    Any,
}

/// Reads a list: the balance, key lines if any, the count, and the accounts.
pub(super) fn parse_list(lines: &[String], completeness: Completeness) -> Option<AccountList> {
    let (balance, rest) = lines.split_first()?;
    let balance = balance.parse().ok()?;
    let key_lines =
        rest.iter().take_while(|line| count(line).is_none() && !line.contains('#')).count();
    let (key_lines, rest) = rest.split_at(key_lines);
    let (wanted, users) = match rest.split_first() {
        Some((first, users)) => match count(first) {
            Some(wanted) => (Some(wanted), users),
            None => (None, rest),
        },
        None => (None, rest),
    };
    let complete = match (completeness, wanted) {
        (Completeness::Any, _) => true,
        (_, Some(wanted)) => users.len() >= wanted,
        (Completeness::CountedOrUncounted, None) => !users.is_empty(),
        (Completeness::Counted, None) => false,
    };
    complete.then(|| AccountList {
        balance,
        server_key: (!key_lines.is_empty()).then(|| key_lines.join("\n")),
        online: users.iter().filter_map(|line| parse_user(line)).collect(),
    })
}

/// A bare number, or one behind words such as `online num: 2`. A key has neither space nor colon.
pub(super) fn count(line: &str) -> Option<usize> {
    let digits =
        line.rsplit(|c: char| !c.is_ascii_digit()).next().filter(|digits| !digits.is_empty())?;
    let bare = digits.len() == line.len() || line.contains([' ', ':']);
    let count = digits.parse().ok()?;
    (bare && !line.contains('#') && count <= LIST_COUNT_MAX).then_some(count)
}

pub(super) fn parse_user(line: &str) -> Option<OnlineUser> {
    let (name, address) = line.split_once('#')?;
    let (ip, port) = address.split_once('#')?;
    let ip: IpAddr = ip.trim().parse().ok()?;
    let port: P2pPort = port.trim().parse().ok()?;
    Some(OnlineUser { name: name.parse().ok()?, address: SocketAddr::new(ip, port.get()) })
}
