//! What a text session writes to the log of what it did.

use slog::{Logger, info, warn};
use wire::text::{Dialect, Reply};

use super::conversation::Report;

/// Writes one line.
pub(super) fn write(report: &Report, log: &Logger) {
    match report {
        Report::Opening(name, Ok(())) => info!(log, "account opened"; "name" => %name),
        Report::Opening(name, Err(refusal)) => {
            info!(log, "account refused"; "name" => %name, "why" => %refusal);
        }
        Report::UnfitName(name, why) => {
            info!(log, "account refused"; "name" => %name, "why" => %why);
        }
        Report::Payment(payment, Ok(())) => {
            info!(log, "payment settled"; "payer" => %payment.payer,
                "payee" => %payment.payee, "amount" => %payment.amount);
        }
        Report::Payment(payment, Err(refusal)) => {
            info!(log, "payment refused"; "payer" => %payment.payer,
                "payee" => %payment.payee, "amount" => %payment.amount, "why" => %refusal);
        }
        Report::Invalid(Reply::Refused(refusal)) => {
            info!(log, "payment refused"; "why" => %refusal);
        }
        Report::Invalid(reply) => {
            let reply = reply.line(Dialect::Seed).trim_end();
            warn!(log, "request refused"; "reply" => reply);
        }
    }
}
