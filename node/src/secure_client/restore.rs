//! `node --role client restore`: a profile out of its 24 words, and what the server knows of it.

use std::io::{self, ErrorKind, IsTerminal as _, Read as _};

use actix::System;
use actors::messages::Start;
use slog::Logger;
use wire::secure::OwnAccount;
use zeroize::Zeroizing;

use super::connector::ServerTrust;
use super::{SecureClient, opening};
use crate::announce;
use crate::config::{ClientConfig, SecureConfig};
use crate::error::Error;
use crate::profile::keyring::ProfileError;
use crate::profile::passphrase::{Prompt as _, Terminal};
use crate::terminal::{self, SecureTerminalConfig};

/// More than 24 words of eight letters, however they are spaced.
const WORDS_BYTES_MAX: u64 = 4096;

/// What is asked of the server once the key is there; the first of it can be asked without an account.
const QUESTIONS: [&str; 3] = ["id", "payments", "history"];

/// Makes the profile and shows what the server knows of its account.
pub(crate) fn run(config: ClientConfig, secure: &SecureConfig, log: &Logger) -> Result<(), Error> {
    System::new().block_on(async {
        // Caught before anybody types a secret: the terminal must get its echo back. What was caught
        // the terminal hears of, and it alone: an end has its last words.
        let caught = announce::stop_signal()?;
        let dir = opening::vacant(secure)?;
        let words = read_words()?;
        let opened = opening::restore(secure, dir, &words)?;
        drop(words);
        announce::line(
            "the key is restored\n\
             Payments that the lost machine had signed and that nobody has submitted yet can be settled\n\
             until they expire, ten minutes after they were made. If somebody else may have the machine,\n\
             start the client and type 'rotate-key': it ends them, and makes the old key worthless.",
        );
        let trust = ServerTrust::of(secure, &opened.dir)?;
        let (news, inbox) = terminal::inbox();
        let client = SecureClient::start(config.server, trust, opened.parts()?, news, log)?;
        let terminal = SecureTerminalConfig {
            name: config.name,
            p2p_port: config.p2p_port,
            unlisted: true,
            rotation: opened.rotation(client.identity()),
        };
        let wallet = client.wallet_handle();
        let started = tokio::select! {
            started = wallet.start.send(Start) => started,
            // The key is there, as was said.
            () = caught => return Ok(()),
        };
        let started = started.map_err(|error| Error::Internal(error.to_string()))?;
        let started = started.map_err(Error::OnlyRestored)?;
        let questions = questions(started.account.as_ref());
        terminal::run_commands(terminal, wallet, started, inbox, questions).await
    })
}

/// Only an account has payments.
fn questions(account: Option<&OwnAccount>) -> &'static [&'static str] {
    if account.is_some() { &QUESTIONS } else { &QUESTIONS[..1] }
}

fn read_words() -> Result<Zeroizing<String>, Error> {
    let mut words = Zeroizing::new(String::new());
    if io::stdin().is_terminal() {
        let typed = Terminal.ask("the 24 words, which are not shown: ");
        words = typed.map_err(|error| match error.kind() {
            ErrorKind::Interrupted | ErrorKind::UnexpectedEof => ProfileError::NoWords.into(),
            _ => Error::Terminal(error),
        })?;
    } else {
        // Large enough from the start: a text that grows leaves copies behind.
        words.reserve(usize::try_from(WORDS_BYTES_MAX).expect("4096 is a usize"));
        let mut input = io::stdin().take(WORDS_BYTES_MAX);
        input.read_to_string(&mut words).map_err(Error::Terminal)?;
    }
    Ok(words)
}
