//! `/metrics` over HTTP, and whether the agent is well. Nothing is served but what is scraped, to no
//! more clients at once than are few, and to none for long.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use log::{debug, error};
use prometheus::TEXT_FORMAT;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{clients, metrics};
use crate::{
    collect::Snapshots,
    error::{AgentError, chain},
    kernel::sys,
};

/// Connections at once. Beyond them a client waits until one ends.
const MOST_CLIENTS: usize = 32;

/// A client that takes longer to say what it wants is let go.
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// No connection lasts longer, whatever it is used for.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);

/// A collector that has taken no snapshot for so long hangs: systemd's watchdog has as much patience.
const HUNG_AFTER: Duration = Duration::from_secs(60);

/// Bytes of a request's head, at most.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Takes the address, so that a busy port is known before anything is attached.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, AgentError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AgentError::Listen { address, source })
}

/// What is served.
#[derive(Clone)]
pub(crate) enum Served {
    /// What the collector has.
    Collected(Snapshots),
    /// That the agent is switched off, and why.
    Nothing(Arc<str>),
}

/// Serves until the task is dropped, and its clients with it.
pub(crate) async fn serve(listener: TcpListener, served: Served) {
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    let mut at_work = JoinSet::new();
    loop {
        let place = clients::place(&places).await;
        let client = clients::accept("HTTP", || listener.accept()).await.0;
        while at_work.try_join_next().is_some() {}
        let served = served.clone();
        at_work.spawn(async move {
            serve_one(client, &served).await;
            drop(place);
        });
    }
}

async fn serve_one(client: TcpStream, served: &Served) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, served)) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(client), service);
    match timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("an HTTP client: {}", chain(&error)),
        Err(_) => debug!("an HTTP client was let go after {CONNECTION_WITHIN:?}"),
    }
}

fn answer(request: &Request<Incoming>, served: &Served) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, "pinscope: metrics are at /metrics\n"),
        "/metrics" => scrape(served),
        "/healthz" => healthz(served),
        "/readyz" => readyz(served),
        _ => text(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

fn scrape(served: &Served) -> Response<Full<Bytes>> {
    let metrics = match served {
        Served::Collected(snapshots) => metrics::text(&snapshots.latest()),
        Served::Nothing(_) => metrics::switched_off(),
    };
    match metrics {
        Ok(metrics) => response(StatusCode::OK, TEXT_FORMAT, metrics.into()),
        Err(it) => {
            error!("cannot answer a scrape: {}", chain(&it));
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the agent's log says why\n",
            )
        }
    }
}

/// Whether it is alive: the collector takes a snapshot a second.
fn healthz(served: &Served) -> Response<Full<Bytes>> {
    let Served::Collected(snapshots) = served else {
        return text(StatusCode::OK, "ok\n");
    };
    let age = sys::since_boot().saturating_sub(snapshots.latest().at);
    match hung(age) {
        None => text(StatusCode::OK, "ok\n"),
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// Why a collector counts as hung whose last snapshot is so old, if it does.
fn hung(age: Duration) -> Option<String> {
    (age >= HUNG_AFTER).then(|| format!("the last snapshot is {} s old\n", age.as_secs()))
}

/// Whether it observes.
fn readyz(served: &Served) -> Response<Full<Bytes>> {
    match served {
        Served::Collected(_) => text(StatusCode::OK, "ok\n"),
        Served::Nothing(why) => {
            let why = format!("switched off: {why}\n");
            text(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text.into())
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_without_a_snapshot_for_a_minute_hangs() {
        assert_eq!(hung(Duration::from_secs(59)), None);
        let why = hung(Duration::from_secs(61)).unwrap();
        assert_eq!(why, "the last snapshot is 61 s old\n");
    }
}
