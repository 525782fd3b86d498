//! Clients in processes of their own, who pay one of them, and any of whom may be killed at any moment.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use crate::process::Program;
use crate::purse::{Purse, Session, Witness};
use crate::random::Random;

const PAYERS: [&str; 3] = ["alice", "carol", "dave"];
/// Payments that each payer begins in one round. Its client shows twenty.
const PAYMENTS: u64 = 5;

/// Everybody.
pub struct Street {
    payers: Vec<Person>,
    payee: Person,
    /// What each payer pays in this round: no amount twice.
    amounts: Range<u64>,
}

/// Somebody with a client.
struct Person {
    purse: Purse,
    session: Session,
    log_in: &'static str,
}

impl Street {
    /// Opens their accounts.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn move_in(binary: &'static str, profiles: &Path, server: SocketAddr) -> Self {
        let move_in = |name, log_in| {
            let purse = Purse::new(binary, profiles, name);
            let session = purse.open(server);
            Person { purse, session, log_in }
        };
        let payers = PAYERS.map(|name| move_in(name, "login unlisted")).into();
        Self { payers, payee: move_in("bob", "login 0"), amounts: 1..1 }
    }

    /// Everybody comes online, and the payers are told to pay. Returns how many payments that is.
    ///
    /// # Panics
    /// If somebody does not come online.
    pub fn begin(&mut self) -> u64 {
        self.payee.come_back();
        self.payers.iter_mut().for_each(Person::come_back);
        self.amounts = self.amounts.end..self.amounts.end + PAYMENTS;
        for payer in &mut self.payers {
            for amount in self.amounts.clone() {
                payer.session.program.type_line(&format!("pay bob {amount}"));
            }
        }
        PAYMENTS * PAYERS.len() as u64
    }

    /// Kills some of them and starts them again. Returns how many.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn strike(&mut self, server: SocketAddr, random: &mut Random) -> u64 {
        let mut kills = 0;
        // The payee less often: while it is dead, its payers pay through the server.
        let payers = self.payers.iter_mut().map(|payer| (2, payer));
        for (one_in, person) in payers.chain([(3, &mut self.payee)]) {
            if random.below(one_in) == 0 {
                person.session.program.kill_in_place();
                person.session = person.purse.start(server);
                kills += 1;
            }
        }
        kills
    }

    /// Waits until every payment of this round has come to an end. How many were made, by the word of the
    /// payers, and rightly.
    ///
    /// # Panics
    /// If a payer says something else than the ledger, or a payment was made twice.
    pub fn check(&mut self, server: SocketAddr) -> u64 {
        self.payers.iter_mut().for_each(Person::come_back);
        let mut made = 0;
        for Person { purse, session, .. } in &mut self.payers {
            let told = session.decided_payments();
            let (payer, payee) = (purse.key(), self.payee.purse.key());
            let witness = Witness { server, payer, payee };
            made += witness.confirms_all(self.amounts.clone(), &told);
        }
        made
    }

    /// The payers write the receipts of their newest payments into a directory.
    ///
    /// # Panics
    /// If one is missing.
    pub fn export(&mut self, dir: &Path) {
        for Person { session, .. } in &mut self.payers {
            for told in session.payments().into_iter().filter(|told| told.state == "paid") {
                let file = dir.join(&told.id);
                let said = session.ask(&format!("receipt {} --export {}", told.id, file.display()));
                assert!(file.exists(), "{told:?}: {said:?}");
            }
        }
    }
}

impl Person {
    /// All that was typed is done, and the client is online, as it was before or anew.
    fn come_back(&mut self) {
        self.session.rest();
        self.session.insist(self.log_in, "logged in as");
    }
}

/// Somebody who has nothing but the data directory of a server that has stopped decides everything again, and
/// holds these receipts against it.
///
/// # Panics
/// If they find a fault.
pub fn audit(binary: &str, data: &Path, receipts: &Path) {
    let text = |path: &Path| path.to_str().expect("temporary paths are text").to_owned();
    let files = std::fs::read_dir(receipts).expect("a directory");
    let files: Vec<_> = files.map(|file| text(&file.expect("a listed file").path())).collect();
    let mut args = ["--role", "audit", "ledger", "--data"].map(str::to_owned).to_vec();
    args.push(text(data));
    if !files.is_empty() {
        args.push("--against".to_owned());
        args.extend(files);
    }
    let ended = Program::start(binary, args).wait();
    assert!(ended.status.success(), "{ended:?}");
}
