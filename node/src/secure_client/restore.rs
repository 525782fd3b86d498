//! `node --role client restore`: a profile out of its 24 words, and what the server knows of it.

use std::io::{self, IsTerminal as _, Read as _};

use actix::System;
use slog::Logger;
use zeroize::Zeroizing;

use super::connector::ServerTrust;
use super::{SecureClient, opening};
use crate::announce;
use crate::config::{ClientConfig, SecureConfig};
use crate::error::Error;
use crate::profile::passphrase::{Prompt as _, Terminal};
use crate::terminal::{self, SecureTerminalConfig};

/// More than 24 words of eight letters, however they are spaced.
const WORDS_BYTES_MAX: u64 = 4096;

/// What is asked of the server once the key is there.
const QUESTIONS: [&str; 3] = ["id", "payments", "history"];

/// Makes the profile and shows what the server knows of its account.
pub(crate) fn run(config: ClientConfig, secure: &SecureConfig, log: &Logger) -> Result<(), Error> {
    System::new().block_on(async {
        // Caught before anybody types a secret: the terminal must get its echo back. What was caught
        // the terminal hears of, and it alone: an end has its last words.
        let _caught = announce::stop_signal()?;
        let words = read_words()?;
        let opened = opening::restore(secure, &words)?;
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
        terminal::run_commands(terminal, client.wallet_handle(), inbox, &QUESTIONS).await
    })
}

fn read_words() -> Result<Zeroizing<String>, Error> {
    let mut words = Zeroizing::new(String::new());
    if io::stdin().is_terminal() {
        words = Terminal.ask("the 24 words, which are not shown: ").map_err(Error::Terminal)?;
    } else {
        // Large enough from the start: a text that grows leaves copies behind.
        words.reserve(usize::try_from(WORDS_BYTES_MAX).expect("4096 is a usize"));
        let mut input = io::stdin().take(WORDS_BYTES_MAX);
        input.read_to_string(&mut words).map_err(Error::Terminal)?;
    }
    Ok(words)
}
