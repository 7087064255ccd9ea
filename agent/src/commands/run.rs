//! `pinscope run`: facts, plan, attach, then collect until told to stop.

use std::{
    io,
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use log::{info, warn};
use tokio::{
    task::JoinHandle,
    time::{interval, sleep_until},
};
use verdicts::Report;

use super::{
    failure::{Done, Failure},
    logging,
    manager::Manager,
    reload::InForce,
    settings::Settings,
    signals::{Asked, Signals},
    start::{Agent, start},
    switch::Switch,
};
use crate::{
    collect::{Collecting, Snapshot, Snapshots},
    error::{AgentError, chain},
    kernel::sys,
    views::{
        http::{Served, Server},
        output, status, summary,
    },
};

/// Runs the agent. With a path, what the kernel sends is recorded there, and the verdicts that a
/// replay of it will reach are printed at the end; otherwise a summary is.
pub(super) fn run(settings: Settings, record_to: Option<&Path>) -> Done {
    logging::filter(&settings.cli.log);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| {
            Failure::Start(AgentError::System {
                what: "cannot start the runtime",
                source,
            })
        })?
        .block_on(run_async(InForce::at_start(settings), record_to))
}

/// How often the service manager hears that it is alive, where no snapshot says so.
const EVERY: Duration = Duration::from_secs(1);

async fn run_async(in_force: InForce, record_to: Option<&Path>) -> Done {
    // Before anything is attached: a signal during start must end it cleanly.
    let signals = Signals::catch().map_err(Failure::Start)?;
    let options = in_force.options();
    let mut run = Run {
        record_to,
        signals,
        manager: Manager::find(),
        switch: Switch::of(&options.off_file),
        left: options.duration,
        in_force,
    };
    loop {
        while let Some(why) = run.switch.off() {
            if run.rest(why).await.map_err(Failure::Start)? == Next::End {
                return Ok(());
            }
        }
        let (options, tuning) = (run.in_force.options(), run.in_force.tuning());
        let agent = match start(options, tuning, record_to, &run.signals).await {
            Err(AgentError::ToldToEnd) => {
                info!("{}", AgentError::ToldToEnd);
                run.manager.stopping();
                return Ok(());
            }
            started => started.map_err(Failure::Start)?,
        };
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
    /// The switch was turned, or is another.
    GoOn,
}

/// A run of the agent, from which it comes back when it is switched off, and when it is switched on.
struct Run<'a> {
    in_force: InForce,
    record_to: Option<&'a Path>,
    signals: Signals,
    manager: Manager,
    switch: Switch,
    /// How long it still lasts, if that was said.
    left: Option<Duration>,
}

impl Run<'_> {
    /// Not before it serves: what keeps it from starting is then told alone.
    fn tell_service(&self, server: &Server) {
        info!("settings: {}", self.in_force.file());
        info!("serving {}", server.url());
    }

    /// Attaches nothing for as long as it is switched off, and says so.
    async fn rest(&mut self, why: String) -> Result<Next, AgentError> {
        warn!("switched off: {why}; nothing is attached until it is gone");
        let options = self.in_force.options();
        let server = Server::open(options.listen, options.web_config.as_deref()).await?;
        self.tell_service(&server);
        self.manager.ready();
        self.manager
            .alive(Some(&format!("switched off: {why}; nothing is attached")));
        let begun = Instant::now();
        let server = tokio::spawn(server.serve(Served::Nothing(why.as_str().into())));
        let end_at = self.left.and_then(|it| begun.checked_add(it));
        let next = loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::End => break Next::End,
                    Asked::Reload => {
                        self.reload(None).await;
                        if self.switch.off().as_ref() != Some(&why) {
                            break Next::GoOn;
                        }
                    }
                },
                () = wait(end_at) => break Next::End,
                () = self.switch.turned_on(|| self.manager.alive(None)) => break Next::GoOn,
            }
        };
        end(server).await;
        self.left = self.left.map(|it| it.saturating_sub(begun.elapsed()));
        match next {
            Next::End => self.manager.stopping(),
            Next::GoOn if self.switch.off().is_some() => {}
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
        let snapshots = collecting.snapshots.clone();
        let served = Served::Collected(snapshots.clone());
        self.tell_service(&server);
        let mut server = tokio::spawn(server.serve(served));
        let mut asked = tokio::spawn(socket.serve(snapshots.clone()));
        self.manager.ready();
        let told = tokio::spawn(keep_telling(self.manager.clone(), snapshots.clone()));

        let started = Instant::now();
        let end_at = self.left.and_then(|it| started.checked_add(it));
        let outcome = loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::End => break Ok(Next::End),
                    Asked::Reload => self.reload(Some(&snapshots)).await,
                },
                () = wait(end_at) => break Ok(Next::End),
                why = self.switch.turned_off() => break Ok(self.after(&why)),
                it = &mut server => {
                    break Err(Ended::Other(stopped("the HTTP server stopped", it)));
                }
                it = &mut asked => {
                    break Err(Ended::Other(stopped("the socket's server stopped", it)));
                }
                it = collecting.failed() => break Err(Ended::Collector(it)),
            }
        };
        told.abort();
        if outcome.as_ref().ok() != Some(&Next::GoOn) {
            self.manager.stopping();
        }
        let (outcome, was_told) = match outcome {
            // It has detached by itself.
            Err(Ended::Collector(error)) => (Err(error), false),
            Err(Ended::Other(error)) => {
                let _it_failed_before = self.detach(collecting, None).await;
                (Err(error), false)
            }
            Ok(next) => {
                let (detached, was_told) = self.detach(collecting, Some(&next)).await;
                (detached.map(|()| next), was_told)
            }
        };
        // What they have is taken anew by who comes next.
        end(server).await;
        end(asked).await;
        self.left = self.left.map(|it| it.saturating_sub(started.elapsed()));
        let printed = self.print(&snapshots.latest(), started.elapsed());
        let next = match outcome {
            Ok(_) if was_told => Ok(Next::End),
            it => it,
        };
        match (printed, &next) {
            (Err(error), Ok(Next::End)) => return Err(error),
            // It is switched on again whether or not anybody read this, and what ended it comes first.
            (Err(error), _) => warn!("{}", chain(&error)),
            (Ok(()), _) => {}
        }
        next
    }

    /// What was seen until then.
    fn print(&self, now: &Snapshot, ran: Duration) -> Result<(), AgentError> {
        let form = self.in_force.options().summary;
        let Some(path) = self.record_to else {
            return summary::print(now, ran, form);
        };
        info!("{} samples in {}", now.findings.judged, path.display());
        let report = Report::of(&now.agent.head, &now.findings);
        output::print(&form.verdicts(&report))
    }

    /// Detaches, which may have to wait, until a second signal says not to; whether one came that was
    /// the first.
    async fn detach(
        &mut self,
        collecting: Collecting,
        next: Option<&Next>,
    ) -> (Result<(), AgentError>, bool) {
        let mut detached = pin!(collecting.finish());
        if next == Some(&Next::GoOn) {
            let mut clock = interval(EVERY);
            loop {
                tokio::select! {
                    it = &mut detached => return (it, false),
                    asked = self.signals.next() => match asked {
                        Asked::End => break,
                        // It holds from the next start on.
                        Asked::Reload => self.reload(None).await,
                    },
                    _ = clock.tick() => self.manager.alive(Some("switched off, detaching")),
                }
            }
            self.manager.stopping();
        }
        let now = tokio::select! {
            it = &mut detached => it,
            () = self.signals.end() => Err(AgentError::System {
                what: "the agent ended before its probes were detached",
                source: io::Error::other("a second signal asked for it"),
            }),
        };
        (now, next == Some(&Next::GoOn))
    }

    /// Reads the settings again; what changed holds once this comes back.
    async fn reload(&mut self, snapshots: Option<&Snapshots>) {
        self.manager.reloading();
        self.in_force.reload();
        self.switch = Switch::of(&self.in_force.options().off_file);
        if let Some(snapshots) = snapshots {
            snapshots.tune(self.in_force.tuning()).await;
        }
        self.manager.ready();
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

/// Until then; for good where that is never.
async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
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
