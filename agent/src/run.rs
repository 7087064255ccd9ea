//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use hooks::{Facts, layout, obstacle, plan};
use log::{info, warn};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    attach::{self, Attached, Sizes},
    cli::RunOptions,
    error::AgentError,
    facts::{self, Privileges},
    holders::{Holders, file::Files, symbols::Symbols},
    http::{self, View},
    metrics::Metrics,
    record,
    selftest::{self, Findings},
    socket::Socket,
    state::State,
    summary,
};

/// What is done when the agent ends.
pub(crate) enum AtEnd {
    /// Totals and verdicts are printed.
    Summary,
    /// The recording at this path is finished.
    Recording(PathBuf),
}

/// Runs the agent.
pub(crate) fn run(options: &RunOptions, at_end: AtEnd) -> Result<(), AgentError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| AgentError::System {
            what: "cannot start the runtime",
            source,
        })?
        .block_on(run_async(options, at_end))
}

async fn run_async(options: &RunOptions, at_end: AtEnd) -> Result<(), AgentError> {
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
    let recording = match at_end {
        AtEnd::Summary => None,
        AtEnd::Recording(path) => Some((record::create(&path)?, path)),
    };
    let facts = facts::gather()?;
    let (attached, findings) = start(&facts, options)?;
    let Attached {
        hooks,
        books,
        samples,
        logger,
        programs,
        settings,
        owners,
        resolver,
    } = attached;
    let longterm_flag = longterm_flag(&facts, &findings);
    let holders = Holders::new(
        owners,
        settings,
        Files::new(resolver),
        longterm_flag,
        options.suspect_after,
    );
    let mut state = State::new(hooks, books, programs, holders)?;
    state.self_test = findings.took;
    let recorded = match recording {
        None => None,
        Some((file, path)) => {
            state.recorder = Some(record::begin(file, &path, &state.head)?);
            Some(path)
        }
    };
    let state = Arc::new(Mutex::new(state));
    let view = View {
        state: Arc::clone(&state),
        metrics: Arc::new(Metrics::new()?),
    };
    let server = tokio::spawn(http::serve(listener, view));
    let asked = tokio::spawn(socket.serve(Arc::clone(&state)));
    let collector = tokio::spawn(collect(samples, Arc::clone(&state)));
    let log = tokio::spawn(relay_log(logger));
    let clock = tokio::spawn(tick(Arc::clone(&state)));
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
    if let Some(path) = recorded {
        return record::end(&mut state, &path, options.summary);
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
    let findings = selftest::run(
        &mut attached.hooks,
        &attached.books,
        &attached.owners,
        &attached.programs,
        &mut attached.samples,
    );
    if let Some(key) = findings.uncounted_zero_page {
        attached.settings.leave_out(key);
    }
    attached.books.begin();
    Ok((attached, findings))
}

/// Judges samples as they come.
async fn collect(samples: RingBuf<MapData>, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut ring = attach::readable(samples)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        lock(&state).drain(ready.get_inner_mut())?;
        ready.clear_ready();
    }
}

/// Keeps the view of owners up to date, and reads the kernel's list of functions
/// when there are addresses that it has no name for.
async fn tick(state: Arc<Mutex<State>>) -> io::Result<()> {
    const EVERY: Duration = Duration::from_secs(1);
    /// A module's functions get their names so much later at most.
    const SYMBOLS_EVERY: u32 = 10;
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since_symbols = SYMBOLS_EVERY;
    loop {
        clock.tick().await;
        since_symbols += 1;
        let wanted = {
            let mut state = lock(&state);
            state.tick();
            since_symbols >= SYMBOLS_EVERY && state.holders.wants_symbols()
        };
        if wanted {
            since_symbols = 0;
            match spawn_blocking(Symbols::read).await? {
                Ok(symbols) => lock(&state).holders.learn_symbols(symbols),
                Err(error) => warn!("call paths have no names: /proc/kallsyms: {error}"),
            }
        }
    }
}

/// Passes what the programs log to the agent's own log.
async fn relay_log(logger: EbpfLogger<&'static dyn log::Log>) -> io::Result<()> {
    let mut ring = attach::readable(logger)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}

/// The state, also after a panic elsewhere: it is only ever read whole.
pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
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
