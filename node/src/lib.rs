//! The Mite program: command line, configuration, log, exit codes, and the terminal of the client.
//!
//! | module | holds |
//! |---|---|
//! | `cli` | the flags and what their values look like |
//! | [`config`] | flags, environment, file and defaults, made into one valid value |
//! | [`error`] | why the program ends before its time: one line, one hint, one exit code |
//! | [`logging`] | the log on the standard error |
//! | [`readers`] | each reader of files and of people by itself, for tests |
//! | [`server_key`] | the server's key and its file |
//! | `profile` | what a client keeps of its own: its identity, and which servers it trusts |
//! | `server`, `secure_client`, `client`, `demo` | the roles: they wire the actors together; `client` is that of the text protocol |
//! | `archive` | moves old segments out of a data directory |
//! | `audit` | checks receipts and ledgers |
//! | `backup` | copies ledgers, of running servers, too |
//! | `admin` | an operator's commands to a running server |
//! | `bench` | measures how fast a server is, beside what the machine can do |
//! | `listener`, `connection` | who may come in, and what comes in |
//! | [`tls`] | TLS with raw public keys, and text for stock TLS clients |
//! | `metrics` | health and numbers over HTTP, for programs that watch over a server |
//! | `announce` | what the roles have in common at start and stop |
//! | [`terminal`] | commands of a person or a script, and what is shown to them |

use std::any::Any;
use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use crate::config::{ClientProtocol, Config, Settings};
use crate::error::{Error, exit};

mod admin;
mod announce;
mod archive;
mod audit;
mod backup;
mod bench;
mod cli;
mod client;
pub mod config;
mod connection;
mod demo;
pub mod error;
mod hex;
mod listener;
pub mod logging;
mod metrics;
mod printable;
mod profile;
pub mod readers;
mod secure_client;
mod server;
pub mod server_key;
pub mod terminal;
pub mod tls;

/// The whole program: what `main` does.
pub fn run() -> ExitCode {
    panic::set_hook(Box::new(report_panic));
    let program = AssertUnwindSafe(|| run_role(std::env::args_os()));
    match panic::catch_unwind(program) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            error.report_and_give_up();
            ExitCode::from(error.exit_code())
        }
        Err(_) => ExitCode::from(exit::INTERNAL),
    }
}

fn run_role(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let Settings { log, config } = config::from_args(args)?;
    // The guard outlives the role, and its records come before the line that says why it ended.
    let (log, _guard) = logging::start(log);
    match config {
        Config::Server(config) => server::run(config, &log),
        Config::Client(config) => match config.protocol.clone() {
            ClientProtocol::Secure(secure) if secure.restore => {
                secure_client::restore(config, &secure, &log)
            }
            ClientProtocol::Secure(secure) => secure_client::run(config, &secure, &log),
            ClientProtocol::Text => client::run(config, &log),
        },
        Config::Demo(config) => demo::run(config, &log),
        Config::Audit(config) => audit::run(config, &log),
        Config::Archive(config) => archive::run(&config, &log),
        Config::Backup(config) => backup::run(config, &log),
        Config::Bench(config) => bench::run(config),
        Config::Admin(config) => admin::run(config),
    }
}

/// One line as for every failure; the default report, with its backtrace, for who asks for one.
fn report_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    let problem =
        Error::Internal(format!("{}{}", panic_text(info.payload()), place.unwrap_or_default()));
    problem.report_and_give_up();
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0") {
        let trace = format!("{}\n", std::backtrace::Backtrace::force_capture());
        error::write_and_give_up(trace.into_bytes());
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}
