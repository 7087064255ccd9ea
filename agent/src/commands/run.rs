//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use log::{info, warn};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{interval, sleep},
};
use verdicts::Report;

use super::{
    cli::RunOptions,
    failure::{Done, Failure},
    manager::Manager,
    start::{Agent, start},
    switch::Switch,
};
use crate::{
    collect::{Collecting, Snapshot, Snapshots},
    error::AgentError,
    kernel::sys,
    views::{
        http::{Served, Server},
        output, status, summary,
    },
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

/// How often the service manager hears that it is alive, where no snapshot says so.
const EVERY: Duration = Duration::from_secs(1);

async fn run_async(options: &RunOptions, record_to: Option<&Path>) -> Done {
    // Before anything is attached: a signal during start must end it cleanly.
    let signals = Signals::catch().map_err(Failure::Start)?;
    let mut run = Run {
        options,
        record_to,
        signals,
        manager: Manager::find(),
        switch: Switch::of(&options.off_file),
        left: options.duration,
    };
    loop {
        if let Some(why) = run.switch.off()
            && run.rest(why).await.map_err(Failure::Start)? == Next::End
        {
            return Ok(());
        }
        let agent = start(options, record_to).await.map_err(Failure::Start)?;
        sys::free_unused_memory();
        if run.collect(agent).await.map_err(Failure::Running)? == Next::End {
            return Ok(());
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing more: it was told to end, or its time is up.
    End,
    /// The switch was turned.
    GoOn,
}

/// A run of the agent, from which it comes back when it is switched off, and when it is switched on.
struct Run<'a> {
    options: &'a RunOptions,
    record_to: Option<&'a Path>,
    signals: Signals,
    manager: Manager,
    switch: Switch,
    /// How long it still lasts, if that was said.
    left: Option<Duration>,
}

impl Run<'_> {
    /// Attaches nothing for as long as it is switched off, and says so.
    async fn rest(&mut self, why: String) -> Result<Next, AgentError> {
        warn!("switched off: {why}; nothing is attached until it is gone");
        let options = self.options;
        let server = Server::open(options.listen, options.web_config.as_deref()).await?;
        info!("serving {}", server.url());
        self.manager.ready();
        self.manager
            .alive(Some(&format!("switched off: {why}; nothing is attached")));
        let begun = Instant::now();
        let server = tokio::spawn(server.serve(Served::Nothing(why.into())));
        let next = tokio::select! {
            () = self.signals.any() => Next::End,
            () = wait(self.left) => Next::End,
            () = self.switch.turned_on(|| self.manager.alive(None)) => Next::GoOn,
        };
        end(server).await;
        self.left = self.left.map(|it| it.saturating_sub(begun.elapsed()));
        match next {
            Next::End => self.manager.stopping(),
            Next::GoOn => {
                info!("switched on again");
                self.manager.starting();
            }
        }
        Ok(next)
    }

    /// Collects until it is told to stop, or something stops by itself.
    async fn collect(&mut self, agent: Agent) -> Result<Next, AgentError> {
        let Agent {
            socket,
            server,
            mut collecting,
        } = agent;
        let snapshots = &collecting.snapshots;
        let served = Served::Collected(snapshots.clone());
        info!("serving {}", server.url());
        let mut server = tokio::spawn(server.serve(served));
        let mut asked = tokio::spawn(socket.serve(snapshots.clone()));
        self.manager.ready();
        let told = tokio::spawn(keep_telling(self.manager.clone(), snapshots.clone()));

        let started = Instant::now();
        let outcome = tokio::select! {
            () = self.signals.any() => Ok(Next::End),
            () = wait(self.left) => Ok(Next::End),
            why = self.switch.turned_off() => Ok(self.after(&why)),
            it = &mut server => Err(Ended::Other(stopped("the HTTP server stopped", it))),
            it = &mut asked => Err(Ended::Other(stopped("the socket's server stopped", it))),
            it = collecting.failed() => Err(Ended::Collector(it)),
        };
        told.abort();
        if outcome.as_ref().ok() != Some(&Next::GoOn) {
            self.manager.stopping();
        }
        let outcome = match outcome {
            // It has detached by itself.
            Err(Ended::Collector(error)) => return Err(error),
            Err(Ended::Other(error)) => Err(error),
            Ok(next) => Ok(next),
        };
        let (now, was_told) = self.detach(collecting, outcome.as_ref().ok()).await;
        let next = if was_told { Next::End } else { outcome? };
        let now = now?;
        // What they have is taken anew by who comes next.
        end(server).await;
        end(asked).await;
        self.left = self.left.map(|it| it.saturating_sub(started.elapsed()));
        match self.record_to {
            Some(path) => {
                info!("{} samples in {}", now.findings.judged, path.display());
                let report = Report::of(&now.agent.head, &now.findings);
                output::print(&self.options.summary.verdicts(&report));
            }
            None => summary::print(&now, started.elapsed(), self.options.summary),
        }
        Ok(next)
    }

    /// Detaches, which may have to wait, until a second signal says not to; whether one came that was
    /// the first.
    async fn detach(
        &mut self,
        collecting: Collecting,
        next: Option<&Next>,
    ) -> (Result<Arc<Snapshot>, AgentError>, bool) {
        let mut detached = pin!(collecting.finish());
        if next == Some(&Next::GoOn) {
            let mut clock = interval(EVERY);
            loop {
                tokio::select! {
                    it = &mut detached => return (it, false),
                    () = self.signals.any() => break,
                    _ = clock.tick() => self.manager.alive(Some("switched off, detaching")),
                }
            }
            self.manager.stopping();
        }
        let now = tokio::select! {
            it = &mut detached => it,
            () = self.signals.any() => Err(AgentError::System {
                what: "the agent ended before its probes were detached",
                source: io::Error::other("a second signal asked for it"),
            }),
        };
        (now, next == Some(&Next::GoOn))
    }

    /// What follows when it is switched off. A recording ends: another one would write over it.
    fn after(&self, why: &str) -> Next {
        if self.record_to.is_some() {
            warn!("switched off: {why}; the recording ends here");
            return Next::End;
        }
        Next::GoOn
    }
}

/// Ends a server, with all that it has.
async fn end(server: JoinHandle<()>) {
    server.abort();
    let _ended_by_that = server.await;
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
