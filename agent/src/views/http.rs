//! `/metrics` over HTTP. Nothing is served but what is scraped.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use log::error;
use prometheus::TEXT_FORMAT;
use tokio::net::TcpListener;

use super::metrics::Metrics;
use crate::{
    collect::{State, lock},
    error::AgentError,
};

/// What a request needs.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Takes the address, so that a busy port is known before anything is attached.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, AgentError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AgentError::Listen { address, source })
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, view: View) -> Result<(), AgentError> {
    let router = Router::new()
        .route("/", get(|| async { "pinscope: metrics are at /metrics\n" }))
        .route("/metrics", get(metrics))
        .with_state(view);
    axum::serve(listener, router)
        .await
        .map_err(|source| AgentError::System {
            what: "the HTTP server stopped",
            source,
        })
}

async fn metrics(Shared(view): Shared<View>) -> Response {
    match render(&view) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            error!("cannot answer a scrape: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

fn render(view: &View) -> Result<Vec<u8>, AgentError> {
    let mut state = lock(&view.state);
    let now = state.snapshot()?;
    view.metrics.update(&mut state, &now);
    Ok(view.metrics.encode()?)
}
