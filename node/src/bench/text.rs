//! Connections that speak the text protocol.

mod client;
mod lane;

use std::net::SocketAddr;

pub(super) use self::client::TextClient;
pub(super) use self::lane::{Script, TextLane};
use super::Bench;
use super::error::BenchError;
use super::names::Names;
use super::random::Random;
use super::server::Server;
use crate::config::LineEnd;

/// What Mite answers a payment that is settled.
const OK: &[u8] = b"100 OK\n";

/// Where payees are said to listen. Nobody connects to them.
pub(super) const P2P_PORT: u16 = 7001;
/// The least and the most payments of a script: so many that payers come in no order that a cache
/// could learn, and no more than some megabytes each.
const SCRIPT_PAYMENTS_MIN: u32 = 1 << 12;
const SCRIPT_PAYMENTS_MAX: u32 = 1 << 18;

/// Opens the accounts of a run that are not [prepared](super::prepare), and logs in a payee on each
/// connection, who is paid by one account after the other, at random; by one alone on a server that
/// answers the payer.
pub(super) async fn payees(bench: &Bench, server: &Server) -> Result<Vec<TextLane>, BenchError> {
    bench.progress.phase("opening accounts");
    let (address, names) = (server.address(), server.names().clone());
    let (accounts, connections) = (bench.config.accounts, bench.config.connections);
    let (line_end, prepared) = (bench.config.line_end, server.is_own());
    bench
        .on_thread(move |watch| {
            let mut opener = TextClient::connect(address, line_end)?;
            if !prepared {
                // Each connection may need a payer of its own.
                let payers = accounts.max(u32::try_from(connections).unwrap_or(u32::MAX));
                opener.register((0..payers).map(|number| names.payer(number)), watch)?;
            }
            opener.register((0..connections).map(|number| names.payee(number)), watch)?;
            let entry = Entry { address, line_end, names, accounts };
            let enter = |number| if prepared { entry.known(number) } else { entry.learned(number) };
            (0..connections).map(enter).collect()
        })
        .await
}

/// How connections come online.
struct Entry {
    address: SocketAddr,
    line_end: LineEnd,
    names: Names,
    accounts: u32,
}

impl Entry {
    /// On Mite's own server, which is known to answer the payee, and how.
    fn known(&self, number: usize) -> Result<TextLane, BenchError> {
        let payee = self.online(&self.names.payee(number))?;
        TextLane::new(payee.into_stream(), self.script(number, None, OK))
    }

    /// On any server: its first answer shows whom it answers, and how.
    fn learned(&self, number: usize) -> Result<TextLane, BenchError> {
        let payer = self.names.payer(u32::try_from(number).unwrap_or(u32::MAX));
        let mut asking = self.online(&self.names.payee(number))?;
        let mut other = self.online(&payer)?;
        let payment = format!("{payer}#1#{}", self.names.payee(number));
        let (answer, by_other) = asking.learn_answer(&payment, &mut other)?;
        if by_other {
            let script = self.script(number, Some(&payer), &answer);
            return TextLane::answered_on(other.into_stream(), asking.into_stream(), script);
        }
        TextLane::new(asking.into_stream(), self.script(number, None, &answer))
    }

    fn online(&self, name: &str) -> Result<TextClient, BenchError> {
        let mut client = TextClient::connect(self.address, self.line_end)?;
        client.come_online(name)?;
        Ok(client)
    }

    /// Payments by this payer, or by any.
    fn script(&self, number: usize, payer: Option<&str>, answer: &[u8]) -> Script {
        let payee = self.names.payee(number);
        let payment = |payer: &str| request(&format!("{payer}#1#{payee}"), self.line_end);
        if let Some(payer) = payer {
            return Script::payments(&[payment(payer)], answer);
        }
        let mut random = Random::new(number as u64);
        let payment = |_| payment(&self.names.payer(random.below(self.accounts)));
        let payments: Vec<_> = (0..script_payments(self.accounts)).map(payment).collect();
        Script::payments(&payments, answer)
    }
}

/// How many payments a connection repeats when so many accounts pay.
pub(super) fn script_payments(accounts: u32) -> u32 {
    accounts.clamp(SCRIPT_PAYMENTS_MIN, SCRIPT_PAYMENTS_MAX)
}

/// A request as it is sent.
pub(super) fn request(words: &str, line_end: LineEnd) -> Vec<u8> {
    let end: &[u8] = match line_end {
        LineEnd::Lf => b"\n",
        LineEnd::Nul => b"\0",
        LineEnd::None => b"",
    };
    [words.as_bytes(), end].concat()
}

fn wrong(expected: &str, found: &str) -> BenchError {
    BenchError::WrongAnswer { expected: expected.to_owned(), found: found.to_owned() }
}
