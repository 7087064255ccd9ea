//! `/metrics` over HTTP, and whether the agent is well. Nothing is served but what is scraped, to no
//! more clients at once than are few, and to none for long. By the web configuration over TLS, and to
//! those alone who have a password.

mod access;
mod config;
mod encoding;
mod host;
mod patience;
mod tls;
mod watched;
mod web;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{
        ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap,
        HeaderValue, VARY, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use log::{debug, error};
use prometheus::TEXT_FORMAT;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use patience::Patient;
use web::Web;

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

/// A client that takes nothing of what it asked for is let go.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// A client that takes longer to agree on how to encrypt is let go.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// No connection lasts longer, whatever it is used for.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);

/// A collector that has taken no snapshot for so long hangs: systemd's watchdog has as much patience.
const HUNG_AFTER: Duration = Duration::from_secs(60);

/// Bytes of a request's head, at most.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// What Go's server says to whoever speaks HTTP to a port of HTTPS.
const NOT_ENCRYPTED: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Whether the agent could use this web configuration.
pub(crate) fn check_web_config(file: Option<&Path>) -> Result<(), AgentError> {
    Web::open(file).map(drop)
}

/// The address, taken, and the terms on which it is served.
pub(crate) struct Server {
    listener: TcpListener,
    /// As it was asked for.
    at: IpAddr,
    web: Arc<Web>,
}

impl Server {
    /// Reads the web configuration and takes the address, so that a fault of the one and a busy port
    /// are known before anything is attached.
    pub(crate) async fn open(
        address: SocketAddr,
        web_config: Option<&Path>,
    ) -> Result<Self, AgentError> {
        let web = Arc::new(Web::open(web_config)?);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| AgentError::Listen { address, source })?;
        let at = address.ip();
        Ok(Self { listener, at, web })
    }

    /// Where the metrics are.
    pub(crate) fn url(&self) -> String {
        let scheme = self.web.scheme();
        match self.listener.local_addr() {
            Ok(address) => format!("{scheme}://{address}/metrics"),
            Err(error) => format!("{scheme}: its address is not known: {error}"),
        }
    }

    /// Serves until the task is dropped, and its clients with it.
    pub(crate) async fn serve(self, served: Served) {
        let at = self.at;
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        let mut at_work = JoinSet::new();
        loop {
            let place = clients::place(&places).await;
            let client = clients::accept("HTTP", || self.listener.accept()).await.0;
            while at_work.try_join_next().is_some() {}
            let (served, web) = (served.clone(), Arc::clone(&self.web));
            at_work.spawn(async move {
                serve_one(client, at, &served, &web).await;
                drop(place);
            });
        }
    }
}

/// What is served.
#[derive(Clone)]
pub(crate) enum Served {
    /// What the collector has.
    Collected(Snapshots),
    /// That the agent is switched off, and why.
    Nothing(Arc<str>),
}

async fn serve_one(client: TcpStream, at: IpAddr, served: &Served, web: &Web) {
    let connection = async {
        match web.terms().tls.clone() {
            None => speak(client, at, served, web).await,
            Some(tls) => {
                let agreed = timeout(HANDSHAKE_WITHIN, encrypt(client, tls)).await;
                match agreed.map_err(io::Error::from)?? {
                    Some(client) => speak(client, at, served, web).await,
                    None => Ok(()),
                }
            }
        }
    };
    match timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("an HTTP client: {}", chain(&error)),
        Err(_) => debug!("an HTTP client was let go after {CONNECTION_WITHIN:?}"),
    }
}

/// `None` if the client does not want to: it is told.
async fn encrypt(
    mut client: TcpStream,
    tls: Arc<ServerConfig>,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    let looked = client.peek(&mut first).await?;
    if looked == 1 && first[0].is_ascii_uppercase() {
        // What is not read before the end would take the answer with it.
        let mut request = [0; 4096];
        let _len = client.read(&mut request).await?;
        client.write_all(NOT_ENCRYPTED).await?;
        client.shutdown().await?;
        return Ok(None);
    }
    TlsAcceptor::from(tls).accept(client).await.map(Some)
}

async fn speak<C: AsyncRead + AsyncWrite + Unpin>(
    client: C,
    at: IpAddr,
    served: &Served,
    web: &Web,
) -> io::Result<()> {
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(permitted_answer(&request, at, served, web).await)
    });
    let client = Patient::new(client, TAKEN_WITHIN);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(client), service)
        .await
        .map_err(io::Error::other)
}

/// What is served is for those who may read it; every answer has the headers of the configuration.
async fn permitted_answer(
    request: &Request<Incoming>,
    at: IpAddr,
    served: &Served,
    web: &Web,
) -> Response<Full<Bytes>> {
    let terms = web.terms();
    // Neither a certificate nor a password answers to a name that somebody else gave.
    let is_open = terms.tls.is_none() && terms.users.is_empty();
    if is_open && host::is_misdirected(request, at) {
        return text(StatusCode::MISDIRECTED_REQUEST, host::MISDIRECTED);
    }
    let sent = request.headers().get(AUTHORIZATION);
    let mut response = match web.access.allows(&terms.users, sent).await {
        true => answer(request, served),
        false => {
            let mut refused = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
            refused
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            refused
        }
    };
    let headers = terms.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.clone()));
    response.headers_mut().extend(headers);
    response
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
        "/metrics" => scrape(served, request.headers()),
        "/healthz" => healthz(served),
        "/readyz" => readyz(served),
        _ => text(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

fn scrape(served: &Served, sent: &HeaderMap) -> Response<Full<Bytes>> {
    let metrics = match served {
        Served::Collected(snapshots) => metrics::text(&snapshots.latest()),
        Served::Nothing(_) => metrics::switched_off(),
    };
    match metrics {
        Ok(metrics) => encoded(metrics, sent),
        Err(it) => {
            error!("cannot answer a scrape: {}", chain(&it));
            text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the agent's log says why\n",
            )
        }
    }
}

/// Metrics, packed for who takes that.
fn encoded(metrics: Vec<u8>, sent: &HeaderMap) -> Response<Full<Bytes>> {
    let packed = encoding::takes_gzip(sent).then(|| encoding::gzip(&metrics));
    // Writing to memory does not fail; if it did, nothing is amiss with the metrics.
    let packed = packed.and_then(Result::ok);
    let is_packed = packed.is_some();
    let body = packed.unwrap_or(metrics).into();
    let mut response = response(StatusCode::OK, TEXT_FORMAT, body);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
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
