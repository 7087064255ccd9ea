//! `/metrics` over HTTP. Nothing is served but what is scraped, to no more clients at once than
//! are few, and to none for long.

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
    time::timeout,
};

use super::{clients, metrics};
use crate::{
    collect::Snapshots,
    error::{AgentError, chain},
};

/// Connections at once. Beyond them a client waits until one ends.
const MOST_CLIENTS: usize = 32;

/// A client that takes longer to say what it wants is let go.
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// No connection lasts longer, whatever it is used for.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of a request's head, at most.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Takes the address, so that a busy port is known before anything is attached.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, AgentError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AgentError::Listen { address, source })
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, snapshots: Snapshots) {
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let place = clients::place(&places).await;
        let client = clients::accept("HTTP", || listener.accept()).await.0;
        let snapshots = snapshots.clone();
        tokio::spawn(async move {
            serve_one(client, &snapshots).await;
            drop(place);
        });
    }
}

async fn serve_one(client: TcpStream, snapshots: &Snapshots) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, snapshots)) });
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

fn answer(request: &Request<Incoming>, snapshots: &Snapshots) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, "pinscope: metrics are at /metrics\n"),
        "/metrics" => match metrics::text(&snapshots.latest()) {
            Ok(metrics) => response(StatusCode::OK, TEXT_FORMAT, metrics.into()),
            Err(it) => {
                error!("cannot answer a scrape: {}", chain(&it));
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the agent's log says why\n",
                )
            }
        },
        _ => text(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(
        status,
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    )
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
