//! What is done on the text protocol's word.

use wire::text::TextPayment;
use wire::{Access, AccountId, Authority, Entry, Refusal};

use super::{Command, Outcome, State};

impl State {
    /// Decides a transfer. `payer` is who is debited, if that was found before.
    pub(super) fn decide_text_transfer(
        &self,
        sender: AccountId,
        payer: Option<AccountId>,
        payment: &TextPayment,
    ) -> Result<Entry, Outcome> {
        let refuse = |refusal| Err(Outcome::Refused(refusal));
        // It may have been opened since it was not found.
        let Some(payer) = payer.or_else(|| self.find(payment.payer.as_str())) else {
            return refuse(Refusal::UnknownPayer);
        };
        // Nearly always the one who asks: that takes no index.
        let is_sender = self.account(sender).is_some_and(|account| account.name == payment.payee);
        let payee = if is_sender { Some(sender) } else { self.find(payment.payee.as_str()) };
        let Some(payee) = payee else {
            return refuse(Refusal::UnknownPayee);
        };
        if payer == payee {
            return refuse(Refusal::SameAccount);
        }
        if payee != sender {
            return refuse(Refusal::NoPermission);
        }
        let debited = self.existing(payer);
        if debited.access != Access::Open {
            return refuse(Refusal::SignatureRequired);
        }
        if self.is_frozen(payer) {
            return refuse(Refusal::AccountFrozen);
        }
        if payment.amount.is_zero() {
            return refuse(Refusal::AmountNotPositive);
        }
        if debited.balance < payment.amount {
            return refuse(Refusal::InsufficientBalance);
        }
        Ok(Entry::Transferred { payer, payee, amount: payment.amount, authority: Authority::Text })
    }
}

/// Whom a text transfer is to debit.
pub(super) fn text_payer(command: &Command) -> Option<&str> {
    match command {
        Command::TextTransfer { payment, .. } => Some(payment.payer.as_str()),
        _ => None,
    }
}
