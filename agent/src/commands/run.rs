//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::{Duration, Instant},
};

use log::info;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};
use verdicts::Report;

use super::{
    cli::RunOptions,
    failure::{Done, Failure},
    manager::Manager,
    start::{Agent, start},
};
use crate::{
    collect::Snapshots,
    error::AgentError,
    kernel::sys,
    views::{http, output, status, summary},
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
    sys::free_unused_memory();
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
        mut collecting,
    } = agent;
    let server = tokio::spawn(http::serve(listener, collecting.snapshots.clone()));
    let asked = tokio::spawn(socket.serve(collecting.snapshots.clone()));
    info!("serving http://{}/metrics", options.listen);
    let manager = Manager::find();
    manager.ready();
    let told = tokio::spawn(keep_telling(manager.clone(), collecting.snapshots.clone()));

    let started = Instant::now();
    let outcome = tokio::select! {
        () = signals.any() => Ok(()),
        () = wait(options.duration) => Ok(()),
        it = server => Err(Ended::Other(stopped("the HTTP server stopped", it))),
        it = asked => Err(Ended::Other(stopped("the socket's server stopped", it))),
        it = collecting.failed() => Err(Ended::Collector(it)),
    };
    told.abort();
    manager.stopping();
    let outcome = match outcome {
        // It has detached by itself.
        Err(Ended::Collector(error)) => return Err(error),
        Err(Ended::Other(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    // Detaching may have to wait.
    let now = tokio::select! {
        it = collecting.finish() => it,
        () = signals.any() => Err(AgentError::System {
            what: "the agent ended before its probes were detached",
            source: io::Error::other("a second signal asked for it"),
        }),
    };
    outcome?;
    let now = now?;
    match record_to {
        Some(path) => {
            info!("{} samples in {}", now.findings.judged, path.display());
            let report = Report::of(&now.agent.head, &now.findings);
            output::print(&options.summary.verdicts(&report));
        }
        None => summary::print(&now, started.elapsed(), options.summary),
    }
    Ok(())
}

/// What ended by itself.
enum Ended {
    Collector(AgentError),
    Other(AgentError),
}

/// Tells the service manager at each snapshot how it stands; what has none for long hangs.
async fn keep_telling(manager: Manager, mut snapshots: Snapshots) {
    let mut last = String::new();
    while let Some(now) = snapshots.next().await {
        let line = status::line(&now);
        manager.alive((line != last).then_some(&line));
        last = line;
    }
}

/// Those that end the agent.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
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
            hangup: caught(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                // Who has no terminal is not left by one: a service is asked to read its settings
                // anew by it.
                _ = self.hangup.recv() => {
                    if io::stdin().is_terminal() {
                        return;
                    }
                    info!("SIGHUP changes nothing: settings are read at the start alone");
                }
            }
        }
    }
}

async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

fn stopped(what: &'static str, outcome: Result<(), tokio::task::JoinError>) -> AgentError {
    let source = match outcome {
        Ok(()) => io::Error::other("without an error"),
        Err(error) => io::Error::other(error),
    };
    AgentError::System { what, source }
}
