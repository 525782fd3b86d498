//! One outgoing payment, from the look-up of the payee to what came of it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;
use wire::Amount;
use wire::text::{TextPayment, TextRequest};

use super::{ask, expect_list};
use crate::messages::{
    AccountList, Ask, HandOver, HandOverAnswer, HandOverError, PaymentReport, WalletError,
};

/// How often the balance is looked at while the payee says nothing, as the original program does.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is looked at after the payee has hung up without a word: for three seconds.
const LOOKS_AFTER_SILENCE: u32 = 12;

/// The server's word to the payer.
#[derive(Debug)]
pub(super) struct ServerVerdict {
    pub(super) settled: bool,
    pub(super) line: String,
}

/// What it takes to make a payment.
pub(super) struct Paying {
    pub(super) server: Recipient<Ask>,
    pub(super) dialer: Recipient<HandOver>,
    pub(super) received: Rc<Cell<u128>>,
    pub(super) offering: Arc<Mutex<()>>,
    pub(super) payment: TextPayment,
}

/// What is known of the payment, or said of it.
#[derive(Debug)]
enum Claim {
    /// The balance shows it.
    Debited,
    /// The payee says so.
    Payee(HandOverAnswer),
    /// The payee has gone without a word. The server may have said no, without saying to what.
    Nobody(Option<String>),
}

impl Paying {
    /// Looks the payee up, hands the payment over, and finds out what came of it.
    pub(super) async fn pay(
        self,
        verdict: oneshot::Receiver<ServerVerdict>,
    ) -> Result<PaymentReport, WalletError> {
        let TextPayment { amount, payee, .. } = &self.payment;
        let (account, received) = self.read_account().await?;
        if account.balance < *amount {
            let (balance, amount) = (account.balance, *amount);
            return Err(WalletError::InsufficientBalance { balance, amount });
        }
        let listed = account.online.iter().find(|user| user.name == *payee);
        let address = listed.ok_or_else(|| WalletError::PayeeOffline(payee.clone()))?.address;
        let standing = Standing { before: account.balance, received, amount: *amount };

        let claim = self.listen(standing, address, verdict).await?;
        let (now, received) = self.look().await;
        Ok(standing.judge(claim, now, received))
    }

    /// Hands the payment over and waits until something is known of it.
    async fn listen(
        &self,
        standing: Standing,
        address: SocketAddr,
        verdict: oneshot::Receiver<ServerVerdict>,
    ) -> Result<Claim, WalletError> {
        let hand_over = HandOver { address, payment: self.payment.clone() };
        let mut handed_over = pin!(self.dialer.send(hand_over));
        let mut payee_may_say = true;
        let mut verdict = pin!(verdict);
        let mut server_may_say = true;
        let mut refusal = None;
        let mut looks_left = LOOKS_AFTER_SILENCE;
        loop {
            tokio::select! {
                biased;
                // It may be of this payment or of any other one that debits this account: only a
                // reason to look.
                said = &mut verdict, if server_may_say => {
                    server_may_say = false;
                    refusal = said.ok().filter(|verdict| !verdict.settled).map(|verdict| verdict.line);
                }
                answer = &mut handed_over, if payee_may_say => match answer {
                    // It may have hung up first and take the payment to the server now, also if the
                    // dialer has failed meanwhile.
                    Ok(Ok(HandOverAnswer::Silence)) | Err(_) => payee_may_say = false,
                    Ok(Ok(answer)) => return Ok(Claim::Payee(answer)),
                    Ok(Err(HandOverError::Unreachable(reason))) => {
                        let payee = self.payment.payee.clone();
                        return Err(WalletError::PayeeUnreachable { payee, address, reason });
                    }
                    Ok(Err(HandOverError::Full)) => return Err(WalletError::PaymentUnderWay),
                },
                () = sleep(LOOK_EVERY) => {}
            }
            let (now, received) = self.look().await;
            if now.is_some_and(|now| standing.is_debited(now, received)) {
                return Ok(Claim::Debited);
            }
            if !payee_may_say {
                looks_left -= 1;
            }
            if looks_left == 0 {
                return Ok(Claim::Nobody(refusal));
            }
        }
    }

    /// What the account holds, and what has been paid to it since the wallet started. The two are of
    /// one moment: no payment to the account is under way between them.
    async fn read_account(&self) -> Result<(AccountList, u128), WalletError> {
        let _turn = self.offering.lock().await;
        let account = expect_list(ask(&self.server, TextRequest::List).await)?;
        Ok((account, self.received.get()))
    }

    /// The same, as far as the server says.
    async fn look(&self) -> (Option<Amount>, u128) {
        match self.read_account().await {
            Ok((account, received)) => (Some(account.balance), received),
            Err(_) => (None, self.received.get()),
        }
    }
}

/// How things stood before the payment was handed over.
#[derive(Clone, Copy, Debug)]
struct Standing {
    before: Amount,
    received: u128,
    amount: Amount,
}

impl Standing {
    /// What the balance would be without the payment.
    fn untouched(&self, received: u128) -> u128 {
        u128::from(self.before.credits()) + received.saturating_sub(self.received)
    }

    fn is_debited(&self, now: Amount, received: u128) -> bool {
        u128::from(now.credits()) + u128::from(self.amount.credits()) == self.untouched(received)
    }

    /// What the balance says of the payment. Others may debit the account meanwhile, but all that is
    /// paid to it comes through this wallet.
    fn change(&self, now: Option<Amount>, received: u128) -> Change {
        let Some(now) = now else { return Change::Unknown };
        let amount = u128::from(self.amount.credits());
        match self.untouched(received).checked_sub(now.credits().into()) {
            Some(debited) if debited == amount => Change::Debited,
            Some(debited) if debited < amount => Change::NotDebited,
            _ => Change::Unclear,
        }
    }

    /// The balance counts; a word alone does not.
    fn judge(&self, claim: Claim, now: Option<Amount>, received: u128) -> PaymentReport {
        let paid = PaymentReport::Paid { balance: now };
        match (self.change(now, received), claim) {
            // Where the balance is unclear, nothing speaks against a payee who says "settled".
            (_, Claim::Debited)
            | (Change::Debited, _)
            | (Change::Unclear, Claim::Payee(HandOverAnswer::Settled)) => paid,
            (
                Change::NotDebited,
                Claim::Payee(HandOverAnswer::Refused(reason)) | Claim::Nobody(Some(reason)),
            ) => PaymentReport::Refused { reason },
            _ => PaymentReport::Unconfirmed { balance_before: self.before, balance_now: now },
        }
    }
}

/// What the balance says of the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Nothing: the server could not be asked.
    Unknown,
    /// There is too much for the payment to be settled.
    NotDebited,
    /// Exactly the payment is gone.
    Debited,
    /// Other payments moved it, too.
    Unclear,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_believed_against_the_balance() {
        let standing = Standing { before: Amount::new(100), received: 5, amount: Amount::new(10) };
        let paid = |now: Option<u64>| PaymentReport::Paid { balance: now.map(Amount::new) };
        let refused = || PaymentReport::Refused { reason: "no".to_owned() };
        let unconfirmed = |now: Option<u64>| PaymentReport::Unconfirmed {
            balance_before: Amount::new(100),
            balance_now: now.map(Amount::new),
        };
        let no = || "no".to_owned();
        let settled = || Claim::Payee(HandOverAnswer::Settled);
        let said_no = || Claim::Payee(HandOverAnswer::Refused(no()));
        let silent = || Claim::Nobody(None);
        let server_said_no = || Claim::Nobody(Some(no()));
        // what is claimed, the balance now, received meanwhile, what is reported
        for (claim, now, received, expected) in [
            (Claim::Debited, Some(90), 0, paid(Some(90))),
            (Claim::Debited, None, 0, paid(None)),
            (settled(), Some(90), 0, paid(Some(90))),
            (settled(), Some(97), 7, paid(Some(97))),
            (settled(), Some(100), 0, unconfirmed(Some(100))),
            (settled(), Some(107), 7, unconfirmed(Some(107))),
            (settled(), Some(95), 0, unconfirmed(Some(95))),
            (settled(), Some(60), 0, paid(Some(60))),
            (settled(), None, 0, unconfirmed(None)),
            (said_no(), Some(100), 0, refused()),
            (said_no(), Some(90), 0, paid(Some(90))),
            (said_no(), Some(95), 0, refused()),
            (said_no(), Some(60), 0, unconfirmed(Some(60))),
            (said_no(), None, 0, unconfirmed(None)),
            (server_said_no(), Some(100), 0, refused()),
            (server_said_no(), Some(90), 0, paid(Some(90))),
            (server_said_no(), Some(60), 0, unconfirmed(Some(60))),
            (server_said_no(), None, 0, unconfirmed(None)),
            (silent(), Some(90), 0, paid(Some(90))),
            (silent(), Some(97), 7, paid(Some(97))),
            (silent(), Some(100), 0, unconfirmed(Some(100))),
            (silent(), Some(60), 0, unconfirmed(Some(60))),
            (silent(), None, 0, unconfirmed(None)),
        ] {
            let story = format!("{claim:?} {now:?} {received}");
            let report = standing.judge(claim, now.map(Amount::new), 5 + received);
            assert_eq!(report, expected, "{story}");
        }
    }
}
