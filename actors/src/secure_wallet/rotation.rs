//! The change of the account's key.
//!
//! The caller has stored the new key durably beside the old one before the change is asked for. Whether it
//! was made is the server's to say: by a receipt that proves it, or, if the answer is lost, by which of the
//! two keys has the account when the wallet connects again.

use actix::prelude::*;
use slog::info;
use wire::key_change::KEY_CHANGE_VERSION;
use wire::secure::{Answer, Call, Problem};
use wire::{Entry, KeyChange, Receipt, SignedKeyChange};

use super::driving::{Waiting, outcomes};
use super::payment::{Happened, NONSENSE};
use super::{Reply, SecureWallet, ask, connection};
use crate::messages::{
    CallError, ConnectError, PayError, Payment, PaymentState, RotateKey, Rotated, Signer,
    WalletNews,
};

/// What is said when the change was asked for, and the account may get the new key at any moment.
const UNSURE: &str = "whether the key is changed is not known yet";

/// Whether the receipt proves that exactly this change was made.
fn is_proof(receipt: &Receipt, change: &SignedKeyChange) -> bool {
    let proven = receipt.verify(&change.change.server);
    proven.is_ok_and(|proven| match proven.entry {
        Entry::KeyChanged { change: made, .. } => **made == *change,
        _ => false,
    })
}

impl Handler<RotateKey> for SecureWallet {
    type Result = Reply<Result<Rotated, PayError>>;

    fn handle(&mut self, RotateKey(new): RotateKey, ctx: &mut Self::Context) -> Self::Result {
        // A change that was asked for may still be made: only the key of that one is sure to be kept.
        let pending = self.next.as_ref().filter(|next| self.rotating || !same(next, &new));
        if let Some(pending) = pending {
            let error = PayError::RotationPending(pending.public_key());
            return Box::pin(async { Err(error) }.into_actor(self));
        }
        self.rotating = true;
        let asked = self.connected(ctx).then({
            let new = new.clone();
            |link, wallet, _| {
                let asking = link.and_then(|link| Ok((link, wallet.sign_change(new)?)));
                async {
                    let (link, change) = asking?;
                    let Some(change) = change else { return Ok(None) };
                    let call = Call::ChangeKey { change: change.clone() };
                    Ok(Some((ask(&link, call).await, change)))
                }
                .into_actor(wallet)
            }
        });
        let known = asked.then(|asked: Result<_, PayError>, wallet, ctx| {
            let asked = asked.and_then(|asked| match asked {
                Some((answer, change)) => wallet.hear_of_change(answer, &change),
                None => Ok(()),
            });
            match asked {
                Ok(()) => {
                    wallet.drop_connection();
                    let connected = wallet.connected(ctx);
                    let found_out: Reply<_> =
                        Box::pin(connected.map(|link, _, _| link.map_err(not_found_out)));
                    found_out
                }
                Err(error) => Box::pin(async { Err(error) }.into_actor(wallet)),
            }
        });
        let settled = known.then(move |link, wallet, ctx| {
            let waiting = wallet.end_rotation(&new, link.err(), ctx);
            async { Ok::<_, PayError>(outcomes(waiting?).await) }.into_actor(wallet)
        });
        Box::pin(settled.map(|payments, wallet, _| {
            let dead = payments?.into_iter().filter(Payment::ended_with_key);
            Ok(Rotated { key: wallet.signer.public_key(), dead: dead.collect() })
        }))
    }
}

impl SecureWallet {
    /// The change to this key, which is kept until the account has it; `None` if it has it already.
    fn sign_change(&mut self, new: Signer) -> Result<Option<SignedKeyChange>, PayError> {
        if same(&self.signer, &new) {
            return Ok(None);
        }
        let change = KeyChange {
            version: KEY_CHANGE_VERSION,
            server: self.server.ok_or_else(connection::lost)?,
            account: self.account()?.name.clone(),
            old: self.signer.public_key(),
            new: new.public_key(),
        };
        let signed = change.sign(self.signer.key(), new.key());
        self.next = Some(new);
        Ok(Some(signed))
    }

    /// What the server says to the change. `Ok` if the connection is worth nothing any more: either the
    /// change is made, or a new connection must tell whether it is.
    fn hear_of_change(
        &mut self,
        answer: Result<Answer, CallError>,
        change: &SignedKeyChange,
    ) -> Result<(), PayError> {
        match answer {
            Ok(Answer::KeyChanged(receipt)) if is_proof(&receipt, change) => {
                if let Some(new) = self.next.clone() {
                    self.promote(new);
                }
                Ok(())
            }
            // An earlier request for this change may have been done.
            Err(CallError::Problem(Problem::KeyRetired)) => Ok(()),
            Err(CallError::Problem(problem)) => Err(PayError::Problem(problem)),
            Err(CallError::Full) => Err(PayError::ServerSilent(CallError::Full.to_string())),
            other => {
                let why =
                    other.err().map_or_else(|| NONSENSE.to_owned(), |error| error.to_string());
                info!(self.log, "whether the key is changed is not known yet"; "why" => why);
                Ok(())
            }
        }
    }

    /// This is the account's key from now on.
    pub(super) fn promote(&mut self, signer: Signer) {
        let key = signer.public_key();
        info!(self.log, "the account has another key"; "key" => %key);
        self.signer = signer;
        self.next = None;
        if !self.rotating {
            self.tell(WalletNews::KeyChanged(key));
        }
    }

    /// The server takes none of this wallet's keys any more: another device has changed the key. Nobody can
    /// find out from here what became of the payments that are open, so nobody tries any longer.
    pub(super) fn key_is_replaced(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.replaced, true) {
            return;
        }
        info!(self.log, "another device has changed the key");
        self.online = None;
        let mut unheard = Vec::new();
        for paying in self.payments.values_mut() {
            let payment = Payment { state: PaymentState::OutOfReach, ..paying.payment() };
            if !paying.give_up(&payment, ctx) {
                unheard.push(payment);
            }
        }
        self.tell(WalletNews::KeyReplaced { payments: unheard });
    }

    /// The outcome of a key change is known, or nobody can say it for now. Gives the payments whose orders
    /// the new key has not signed.
    fn end_rotation(
        &mut self,
        new: &Signer,
        error: Option<PayError>,
        ctx: &mut Context<Self>,
    ) -> Result<Vec<Waiting>, PayError> {
        self.rotating = false;
        if !same(&self.signer, new) {
            // The old key has the account still: what was asked for may be done any time later.
            return Err(error.unwrap_or_else(|| PayError::ServerSilent(UNSURE.to_owned())));
        }
        let key = new.public_key();
        let (mut ids, mut waiting) = (Vec::new(), Vec::new());
        for (id, paying) in &mut self.payments {
            if paying.is_signed_by(&key) {
                continue;
            }
            ids.push(*id);
            // Without a connection nobody decides it now; the news will tell.
            let is_heard = error.is_none();
            waiting.push(if is_heard { paying.wait() } else { Waiting::unheard(paying.payment()) });
        }
        self.feed_all(ids.into_iter().map(|id| (id, Happened::KeyRetired)).collect(), ctx);
        Ok(waiting)
    }
}

/// Why nobody could be asked whether the change that was asked for is made.
fn not_found_out(error: PayError) -> PayError {
    match error {
        PayError::Connect(ConnectError::Unreachable(_)) | PayError::ServerSilent(_) => {
            PayError::ServerSilent(UNSURE.to_owned())
        }
        error => error,
    }
}

fn same(one: &Signer, other: &Signer) -> bool {
    one.public_key() == other.public_key()
}
