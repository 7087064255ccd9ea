//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use log::{info, warn};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};
use verdicts::Report;

use super::{
    cli::RunOptions,
    failure::{Done, Failure},
    start::{Agent, cannot_write, start},
};
use crate::{
    collect::{self, lock},
    error::AgentError,
    views::{http, output, summary},
};

/// Runs the agent. With a path, what the kernel sends is recorded there, and the verdicts that a
/// replay of it will reach are printed at the end; otherwise a summary is.
pub(super) fn run(options: &RunOptions, record_to: Option<&Path>) -> Done {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| {
            Failure::Start(AgentError::System {
                what: "cannot start the runtime",
                source,
            })
        })?
        .block_on(run_async(options, record_to))
}

async fn run_async(options: &RunOptions, record_to: Option<&Path>) -> Done {
    // Before anything is attached: a signal during start must end it cleanly.
    let mut signals = Signals::catch().map_err(Failure::Start)?;
    let agent = start(options, record_to).await.map_err(Failure::Start)?;
    let collected = collect(agent, &mut signals, options, record_to).await;
    collected.map_err(Failure::Running)
}

/// Collects until it is told to stop, or something stops by itself.
async fn collect(
    agent: Agent,
    signals: &mut Signals,
    options: &RunOptions,
    record_to: Option<&Path>,
) -> Result<(), AgentError> {
    let Agent {
        socket,
        listener,
        view,
        samples,
        logger,
    } = agent;
    let state = Arc::clone(&view.state);
    let server = tokio::spawn(http::serve(listener, view));
    let asked = tokio::spawn(socket.serve(Arc::clone(&state)));
    let collector = tokio::spawn(collect::judge(samples, Arc::clone(&state)));
    let log = tokio::spawn(collect::relay_log(logger));
    let clock = tokio::spawn(collect::tick(Arc::clone(&state)));
    info!("serving http://{}/metrics", options.listen);
    notify(NotifyState::Ready);

    let started = Instant::now();
    let outcome = tokio::select! {
        () = signals.any() => Ok(()),
        () = wait(options.for_time) => Ok(()),
        it = server => Err(stopped("the HTTP server stopped", it)),
        it = asked => Err(stopped("the socket's server stopped", it)),
        it = collector => Err(stopped("the collector stopped", it)),
        it = log => Err(stopped("the log relay stopped", it)),
        it = clock => Err(stopped("the clock stopped", it)),
    };
    notify(NotifyState::Stopping);
    outcome?;
    let mut state = lock(&state);
    if let Some(recorder) = state.recorder.take()
        && let Some(path) = record_to
    {
        let finished = recorder.finish();
        finished.map_err(|source| cannot_write(path, source))?;
        info!("{} samples in {}", state.judge.judged(), path.display());
        let report = Report::of(&state.head, &state.judge);
        output::print(&options.summary.verdicts(&report));
        return Ok(());
    }
    let now = state.snapshot()?;
    summary::print(&state, &now, started.elapsed(), options.summary);
    Ok(())
}

/// Those that end the agent.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> Result<Self, AgentError> {
        let caught = |kind| {
            signal(kind).map_err(|source| AgentError::System {
                what: "cannot catch signals",
                source,
            })
        };
        Ok(Self {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

fn stopped<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    what: &'static str,
    outcome: Result<Result<T, E>, tokio::task::JoinError>,
) -> AgentError {
    let source = match outcome {
        Ok(Ok(_)) => io::Error::other("without an error"),
        Ok(Err(error)) => io::Error::other(error),
        Err(error) => io::Error::other(error),
    };
    AgentError::System { what, source }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("cannot tell systemd: {error}");
    }
}
