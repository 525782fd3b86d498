//! Health and numbers of a running server, over HTTP, for programs that watch over it.
//!
//! It is off unless `--metrics` says where. It asks nobody who they are and tells sums, never names or
//! keys: a place that only those can reach who may know them is for the operator to choose.

mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use actors::messages::{
    CountOrdersWaiting, LedgerUnavailable, ReadCounters, ReadLedger, ReadPresent, ReadServer,
};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use slog::{Logger, info, warn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wire::admin::Condition;

use self::page::Facts;
use crate::listener::Gate;

/// Connections at once: a few programs that ask every some seconds. One more waits.
const CONNECTIONS_MAX: usize = 16;

/// What a request may take: those of such programs have a few hundred bytes. hyper takes no less.
const REQUEST_BYTES_MAX: usize = 8192;

/// How long a request may take to come, and its answer to be taken.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long an actor may take to answer. A ledger that does not is not healthy.
const ACTOR_TIME_MAX: Duration = Duration::from_secs(5);

/// In how many seconds whoever is told that the server takes no payments may ask again: as often as a full disk is
/// asked whether it has room.
const RETRY_AFTER_SECONDS: &str = "5";

/// How long to wait when the system has no file for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Prometheus asks for this form, and takes it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who is asked.
#[derive(Clone)]
pub(crate) struct MetricsPeers {
    /// The Ledger.
    pub(crate) ledger: Recipient<ReadLedger>,
    /// The Ledger.
    pub(crate) counters: Recipient<ReadCounters>,
    /// The Registry.
    pub(crate) present: Recipient<ReadPresent>,
    /// The Verifier.
    pub(crate) verifier: Recipient<CountOrdersWaiting>,
    /// The server.
    pub(crate) server: Recipient<ReadServer>,
    /// Who counts connections.
    pub(crate) gate: Arc<Gate>,
}

/// The endpoint. Dropped, it takes nobody any more.
pub(crate) struct Metrics {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Metrics {
    /// Takes requests of those who connect to `listener`, which is at this address.
    pub(crate) fn serve(
        listener: TcpListener,
        address: SocketAddr,
        peers: MetricsPeers,
        log: &Logger,
    ) -> Self {
        info!(log, "health and metrics are told"; "address" => address);
        let serving = actix::spawn(serve(listener, Arc::new(peers), log.clone()));
        Self { address, serving }
    }

    /// Where it takes requests.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, peers: Arc<MetricsPeers>, log: Logger) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let peers = Arc::clone(&peers);
                actix::spawn(async move {
                    converse(stream, peers).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(log, "nobody can ask for metrics"; "error" => %error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request and closes the connection.
async fn converse(stream: TcpStream, peers: Arc<MetricsPeers>) {
    let answer = service_fn(move |request| {
        let peers = Arc::clone(&peers);
        async move { Ok::<_, Infallible>(peers.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    // What a peer does wrong ends its own connection.
    let _ = timeout(2 * REQUEST_TIME_MAX, connection).await;
}

impl MetricsPeers {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return refusal;
        }
        match request.uri().path() {
            "/health" => match self.health().await {
                Ok(()) => text(StatusCode::OK, "the server takes payments\n".into()),
                Err(why) => unavailable(&why),
            },
            "/metrics" => match self.facts().await {
                Ok(facts) => {
                    let mut page = text(StatusCode::OK, page::write(&facts));
                    let kind = HeaderValue::from_static(METRICS_TYPE);
                    page.headers_mut().insert(CONTENT_TYPE, kind);
                    page
                }
                Err(why) => unavailable(&why),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /health and /metrics\n".into()),
        }
    }

    /// Why the server takes no payments, if it does not.
    async fn health(&self) -> Result<(), String> {
        let facts = answer(self.server.send(ReadServer), "server").await?;
        match facts.condition {
            Condition::ReadOnly(why) => return Err(format!("read-only: {why}")),
            Condition::Draining => return Err("draining: the server is stopping".into()),
            Condition::Writing => {}
        }
        facts.files.map_err(|unreadable| unreadable.to_string())?;
        let ledger = answer(self.ledger.send(ReadLedger), "ledger").await?;
        ledger.map(|_| ()).map_err(|why| why.to_string())
    }

    async fn facts(&self) -> Result<Facts, String> {
        let nobody = ReadPresent { after: None, limit: 0 };
        let server = answer(self.server.send(ReadServer), "server").await?;
        let ledger = match answer(self.ledger.send(ReadLedger), "ledger").await? {
            Ok(ledger) => Some(ledger),
            // It reads its own journal again; the rest can be told.
            Err(LedgerUnavailable::Busy) => None,
            Err(why) => return Err(why.to_string()),
        };
        Ok(Facts {
            server,
            ledger,
            counters: answer(self.counters.send(ReadCounters), "ledger").await?,
            online: answer(self.present.send(nobody), "registry").await?.online,
            orders_waiting: answer(self.verifier.send(CountOrdersWaiting), "verifier").await?,
            turned_away: self.gate.turned_away(),
        })
    }
}

/// What an actor says, if it says something in time.
async fn answer<T>(
    asked: impl Future<Output = Result<T, actix::MailboxError>>,
    whose: &str,
) -> Result<T, String> {
    match timeout(ACTOR_TIME_MAX, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(format!("the {whose} is gone")),
        Err(_) => Err(format!("the {whose} does not answer")),
    }
}

fn unavailable(why: &str) -> Response<Full<Bytes>> {
    let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    refusal
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
