//! The numbers as a page of `OpenMetrics` text.

use std::fmt;
use std::time::Duration;

use actors::ledger::counters::{COMMIT_MICROS, LedgerCounters};
use actors::messages::ServerFacts;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use wire::Timestamp;
use wire::admin::{Condition, LedgerStatus};

use crate::listener::TurnedAway;

/// What is told.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) server: ServerFacts,
    /// `None` while it reads its own journal again.
    pub(super) ledger: Option<LedgerStatus>,
    pub(super) counters: LedgerCounters,
    /// Accounts that are logged in.
    pub(super) online: u64,
    /// Orders whose signatures wait to be checked.
    pub(super) orders_waiting: u64,
    pub(super) turned_away: TurnedAway,
}

type Labels = Vec<(&'static str, String)>;

/// The page. It is put together anew each time: nobody but the one who asks pays for it.
pub(super) fn write(facts: &Facts) -> String {
    let mut registry = Registry::with_prefix("mite");
    server(&mut registry, facts);
    counters(&mut registry, &facts.counters);
    if let Some(ledger) = &facts.ledger {
        gauge(&mut registry, "entries", "Entries that are durable", ledger.entries);
        gauge(&mut registry, "accounts", "Accounts", ledger.accounts);
        gauge(&mut registry, "frozen_accounts", "Accounts that are frozen", ledger.frozen);
        gauge(&mut registry, "supply_credits", "Credits of all accounts", ledger.supply.credits());
    }
    let mut page = String::new();
    encode(&mut page, &registry).expect("a String takes every text");
    page
}

fn server(registry: &mut Registry, facts: &Facts) {
    let ServerFacts { version, started, now, condition, connections, files, .. } = &facts.server;
    let build = Family::<Labels, Counter>::default();
    build.get_or_create(&vec![("version", version.clone())]).inc();
    registry.register("builds", "The version that runs, with the number 1", build);
    gauge(registry, "uptime_seconds", "Since the start", seconds_since(*started, *now));
    let read_only = u64::from(matches!(condition, Condition::ReadOnly(_)));
    gauge(registry, "read_only", "1 if nothing can be written", read_only);
    let draining = u64::from(*condition == Condition::Draining);
    gauge(registry, "draining", "1 if the server is stopping", draining);
    gauge(registry, "connections", "Connections that are open", *connections);
    gauge(registry, "online_accounts", "Accounts that are logged in", facts.online);
    let waiting = facts.orders_waiting;
    gauge(registry, "verifier_waiting_orders", "Orders whose signatures are not checked", waiting);
    let turned = Family::<Labels, Counter>::default();
    for (why, count) in facts.turned_away.by_reason() {
        turned.get_or_create(&vec![("why", why.to_owned())]).inc_by(count);
    }
    registry.register("refused_connections", "Connections that were turned away", turned);
    // Where the directory cannot be read, the rest is left out.
    let Ok(files) = files else { return };
    gauge(registry, "journal_bytes", "Bytes of the journal's files", files.journal_bytes);
    if let Some(free) = files.free_bytes {
        gauge(registry, "disk_free_bytes", "Bytes that the disk has left", free);
    }
    if let Some(snapshot) = files.snapshot {
        let age = seconds_since(snapshot.kept, *now);
        gauge(registry, "snapshot_age_seconds", "Since the newest snapshot was kept", age);
    }
}

fn counters(registry: &mut Registry, counters: &LedgerCounters) {
    let payments = Family::<Labels, Counter>::default();
    for (protocol, count) in [("text", counters.text_payments), ("secure", counters.settled_orders)]
    {
        payments.get_or_create(&vec![("protocol", protocol.to_owned())]).inc_by(count);
    }
    registry.register("payments", "Payments that were made", payments);
    let refusals = Family::<Labels, Counter>::default();
    for (code, count) in counters.refusals.iter().enumerate().skip(1) {
        refusals.get_or_create(&vec![("code", code.to_string())]).inc_by(*count);
    }
    registry.register("refusals", "What the rules have refused, by code", refusals);
    for (name, help, count) in [
        ("untaken_orders", "Orders not taken, or decided before", counters.untaken_orders),
        ("opened_accounts", "Accounts that were opened", counters.opened),
        ("key_changes", "Keys that were changed", counters.key_changes),
        ("operations", "What the operator did to accounts", counters.operations),
        ("batches", "Durable writes, each of one batch", counters.commits),
    ] {
        registry.register(name, help, ConstCounter::new(count));
    }
    let help = "From the handing over of a batch until it is durable";
    registry.register("commit_seconds", help, CommitTimes(*counters));
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)));
}

fn seconds_since(then: Timestamp, now: Timestamp) -> u64 {
    now.get().saturating_sub(then.get()) / 1000
}

/// The times of commits as a histogram.
#[derive(Debug)]
struct CommitTimes(LedgerCounters);

impl EncodeMetric for CommitTimes {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = &self.0;
        let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
        let most = COMMIT_MICROS.into_iter().map(seconds).chain([f64::MAX]);
        let buckets: Vec<_> = most.zip(counters.commit_times).collect();
        let sum = seconds(counters.commit_micros);
        encoder.encode_histogram::<NoLabelSet>(sum, counters.commits, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests;
