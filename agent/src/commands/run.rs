//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hooks::{Facts, layout, obstacle, plan};
use log::{info, warn};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use verdicts::Report;

use super::cli::RunOptions;
use crate::{
    collect::{self, Hook, Recorder, State, lock},
    error::AgentError,
    kernel::{
        attach::{self, Attached, Sizes},
        facts::{self, Privileges},
    },
    owners::{OwnerRegistry, file::Files},
    selftest::{self, Findings},
    views::{
        http::{self, View},
        metrics::Metrics,
        output,
        socket::Socket,
        summary,
    },
};

/// Runs the agent. With a path, what the kernel sends is recorded there, and the verdicts that a
/// replay of it will reach are printed at the end; otherwise a summary is.
pub(super) fn run(options: &RunOptions, record_to: Option<&Path>) -> Result<(), AgentError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| AgentError::System {
            what: "cannot start the runtime",
            source,
        })?
        .block_on(run_async(options, record_to))
}

async fn run_async(options: &RunOptions, record_to: Option<&Path>) -> Result<(), AgentError> {
    // Before anything is attached: a signal during start must end it cleanly.
    let mut interrupt = on_signal(SignalKind::interrupt())?;
    let mut terminate = on_signal(SignalKind::terminate())?;
    if let Some(complaint) = Privileges::of_this_process().complaint() {
        return Err(AgentError::NotTraceable(complaint));
    }
    // An agent that runs already is told as one, and not by the port that it has.
    let socket = Socket::take(&options.socket)?;
    let listener = http::listen(options.listen).await?;
    // Not before the agent is sure to be alone, and before anything is attached.
    let recording = match record_to {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|source| cannot_write(path, source))?;
            Some((file, path))
        }
    };
    let facts = facts::gather()?;
    let (attached, findings) = start(&facts, options)?;
    let Attached {
        hooks,
        counters,
        ledger,
        samples,
        logger,
        programs,
        settings,
        owners,
        resolver,
    } = attached;
    let longterm_flag = longterm_flag(&facts, &findings);
    let owners = OwnerRegistry::new(
        owners,
        settings,
        Files::new(resolver),
        longterm_flag,
        options.suspect_after,
    );
    let hooks = Hook::all(hooks, &findings);
    let mut state = State::new(hooks, counters, ledger, programs, owners)?;
    state.self_test = findings.took;
    if let Some((file, path)) = recording {
        let recorder = Recorder::begin(file, &state.head);
        state.recorder = Some(recorder.map_err(|source| cannot_write(path, source))?);
    }
    let state = Arc::new(Mutex::new(state));
    let view = View {
        state: Arc::clone(&state),
        metrics: Arc::new(Metrics::new()?),
    };
    let server = tokio::spawn(http::serve(listener, view));
    let asked = tokio::spawn(socket.serve(Arc::clone(&state)));
    let collector = tokio::spawn(collect::judge(samples, Arc::clone(&state)));
    let log = tokio::spawn(collect::relay_log(logger));
    let clock = tokio::spawn(collect::tick(Arc::clone(&state)));
    info!("serving http://{}/metrics", options.listen);
    notify(NotifyState::Ready);

    let started = Instant::now();
    let outcome = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
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

/// The value of `FOLL_LONGTERM`: BTF's, or else what the self-test found.
fn longterm_flag(facts: &Facts, findings: &Findings) -> Option<u32> {
    let told = facts.enumerators.get("FOLL_LONGTERM");
    let told = told.and_then(|it| u32::try_from(*it).ok());
    if let (Some(told), Some(found)) = (told, findings.longterm_flag)
        && told != found
    {
        warn!("FOLL_LONGTERM is {told:#x}, and the self-test found {found:#x}");
    }
    told.or(findings.longterm_flag)
}

fn start(facts: &Facts, options: &RunOptions) -> Result<(Attached, Findings), AgentError> {
    for (name, method) in [
        ("fentry", &facts.methods.fentry),
        ("kprobe", &facts.methods.kprobe),
    ] {
        if let Some(reason) = method.reason() {
            info!("{name} cannot be used: {reason}");
        }
    }
    let steps = plan(facts, options.attach);
    if let Some(obstacle) = obstacle(facts, &steps, options.attach) {
        return Err(obstacle.into());
    }
    let layout = layout(facts)?;
    let sizes = Sizes {
        ring_bytes: options.ring_bytes,
        ledger_slots: options.ledger_folios,
        owners: options.owners,
    };
    let mut attached = attach::attach(facts, &steps, layout, sizes)?;
    let findings = selftest::run(&mut attached);
    if let Some(key) = findings.uncounted_zero_page {
        attached.settings.leave_out(key);
    }
    attached.counters.begin();
    Ok((attached, findings))
}

async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

fn on_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, AgentError> {
    signal(kind).map_err(|source| AgentError::System {
        what: "cannot catch signals",
        source,
    })
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

fn cannot_write(path: &Path, source: io::Error) -> AgentError {
    AgentError::Write {
        path: path.to_owned(),
        source,
    }
}
