//! What a secure session writes to the log of what it did.

use slog::{Logger, info, warn};

use super::round::{Paid, Report};

/// Writes one line.
pub(super) fn write(report: &Report, log: &Logger) {
    match report {
        Report::Decided(Paid { payer, payee, amount, id }, Ok(())) => {
            info!(log, "payment settled"; "payer" => %payer, "payee" => %payee,
                "amount" => %amount, "order" => %id);
        }
        Report::Decided(Paid { payer, payee, amount, id }, Err(refusal)) => {
            info!(log, "payment refused"; "payer" => %payer, "payee" => %payee,
                "amount" => %amount, "order" => %id, "why" => %refusal);
        }
        Report::NotTaken(Paid { payer, payee, amount, id }, problem) => {
            info!(log, "order not taken"; "payer" => %payer, "payee" => %payee,
                "amount" => %amount, "order" => %id, "why" => %problem);
        }
        Report::Text(payment, Ok(())) => {
            info!(log, "payment settled"; "payer" => %payment.payer,
                "payee" => %payment.payee, "amount" => %payment.amount);
        }
        Report::Text(payment, Err(refusal)) => {
            info!(log, "payment refused"; "payer" => %payment.payer,
                "payee" => %payment.payee, "amount" => %payment.amount, "why" => %refusal);
        }
        Report::InvalidSignatures(count) => {
            warn!(log, "orders that their payers have not signed"; "count" => count);
        }
    }
}
