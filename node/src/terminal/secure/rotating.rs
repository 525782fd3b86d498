//! A new key in the place of the account's.

use actors::messages::{Payment, RotateKey, Rotated, Signer};
use wire::P2pPort;
use zeroize::Zeroizing;

use super::paying::{Pending, Renewal};
use super::shell::{Shell, ask};
use super::view::{self, Request};
use super::{KeyRotation, NextKey};
use crate::error::Error;
use crate::terminal::shell::{Answer, Ask, Part, Reply, Step};
use crate::terminal::view::Failure;

impl<L, R> Shell<L, R>
where
    L: AsyncFnMut(u16) -> Result<P2pPort, Error>,
    R: KeyRotation,
{
    /// Says what a key change is before anything is done.
    pub(super) fn explain_rotation() -> Reply<Pending> {
        let ask = Ask { question: "make a new key?".into(), unasked: Answer::Yes };
        let shown = Zeroizing::new(view::ROTATION.to_owned());
        Reply::Part(Part { shown, secret: false, ask: Some(ask), pending: Pending::MakeKey })
    }

    /// Has the next key made and stored, and shows its words while the old key still counts:
    /// whatever happens afterwards, no account has a key whose words nobody has seen.
    pub(super) async fn make_key(&mut self) -> Step<Pending> {
        let made = self.rotation.next_key().await;
        let NextKey { signer, words } = made.map_err(|error| Failure {
            warning: None,
            message: format!("no new key was made: {error}"),
            hint: error.hint(),
        })?;
        let ask = Ask { question: view::WORDS_QUESTION.into(), unasked: Answer::Yes };
        let shown = view::words(&words);
        let pending = Pending::ChangeKey(signer);
        Ok(Reply::Part(Part { shown, secret: true, ask: Some(ask), pending }))
    }

    /// Changes the key, and offers to make the payments anew that ended with the old one.
    pub(super) async fn change_key(&mut self, signer: Signer) -> Step<Pending> {
        let rotated = ask(&self.wallet.rotate_key, RotateKey(signer), Request::RotateKey).await?;
        let told = format!("{}{}", self.key_changed(rotated.key), view::rotated(&rotated));
        let Rotated { dead, .. } = rotated;
        if dead.is_empty() {
            return Ok(Reply::Done(told));
        }
        Ok(Reply::Part(Self::offer_anew(told, "make them anew now, one by one?", dead)))
    }

    /// Asks about payments that ended with the old key.
    pub(super) fn offer_anew(told: String, question: &str, ended: Vec<Payment>) -> Part<Pending> {
        Part {
            shown: Zeroizing::new(told),
            secret: false,
            ask: Some(Ask { question: question.into(), unasked: Answer::No }),
            pending: Pending::Renew(Renewal { quote: None, rest: ended.into() }),
        }
    }
}
