//! The collector's thread: what it waits for, and what it is asked.

use std::{io, os::fd::AsRawFd, sync::Arc, thread, time::Duration};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use log::warn;
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    book::Book,
    collector::{Collector, Selection},
    snapshot::Snapshot,
    tuning::Tuning,
};
use crate::error::{AgentError, chain};

/// Between two snapshots.
const EVERY: Duration = Duration::from_secs(1);

/// Between two looks into the ring, which holds far more than comes in so long.
const BETWEEN_DRAINS: Duration = Duration::from_millis(10);

/// No snapshot takes longer, unless something holds it up.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// Questions that wait for an answer.
const QUESTIONS: usize = 16;

/// What comes from the probes.
pub(crate) struct Source {
    pub(crate) samples: RingBuf<MapData>,
    pub(crate) logger: EbpfLogger<&'static dyn log::Log>,
}

/// What the thread is asked.
enum Question {
    Select(Selection, oneshot::Sender<Book>),
    Finish,
}

/// What is given to whoever shows something.
#[derive(Clone)]
pub(crate) struct Snapshots {
    latest: watch::Receiver<Arc<Snapshot>>,
    questions: mpsc::Sender<Question>,
    tuning: watch::Sender<Tuning>,
}

impl Snapshots {
    /// The last snapshot.
    pub(crate) fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.borrow())
    }

    /// The next snapshot, once it is there; `None` if the collector has ended.
    pub(crate) async fn next(&mut self) -> Option<Arc<Snapshot>> {
        self.latest.changed().await.ok()?;
        Some(self.latest.borrow_and_update().clone())
    }

    /// Rows of a selection; `None` if the collector has ended.
    pub(crate) async fn select(&self, selection: Selection) -> Option<Book> {
        let (answer, answered) = oneshot::channel();
        let question = Question::Select(selection, answer);
        self.questions.send(question).await.ok()?;
        answered.await.ok()
    }

    /// From now on these settings hold. Comes back once a snapshot says so; a collector that is held
    /// up takes them over when it goes on.
    pub(crate) async fn tune(&self, tuning: Tuning) {
        self.tuning.send_replace(tuning);
        let mut latest = self.latest.clone();
        let shown = latest.wait_for(|it| it.reloaded == tuning.reloaded);
        if timeout(SHOWN_WITHIN, shown).await.is_err() {
            warn!("the new settings are not in force yet: the collector is held up");
        }
    }
}

/// A collector at work.
pub(crate) struct Collecting {
    pub(crate) snapshots: Snapshots,
    ended: oneshot::Receiver<Result<(), AgentError>>,
}

impl Collecting {
    /// Comes back if the collector ends by itself: why it did.
    pub(crate) async fn failed(&mut self) -> AgentError {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => stopped(io::Error::other("it ended by itself")),
        }
    }

    /// Takes a last snapshot, ends the recording, and detaches.
    pub(crate) async fn finish(self) -> Result<(), AgentError> {
        let Self { snapshots, ended } = self;
        // If it is gone by now, it says why below.
        let _ = snapshots.questions.send(Question::Finish).await;
        match ended.await {
            Ok(outcome) => outcome,
            Err(_) => Err(stopped(io::Error::other("it ended by itself"))),
        }
    }
}

fn stopped(source: io::Error) -> AgentError {
    AgentError::System {
        what: "the collector stopped",
        source,
    }
}

/// Starts the thread. The first snapshot is there when this returns.
pub(crate) fn start(
    mut collector: Collector,
    source: Source,
    tuning: Tuning,
) -> Result<Collecting, AgentError> {
    let first = collector.tick()?;
    let (publish, latest) = watch::channel(Arc::new(first));
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let (tuning, tuned) = watch::channel(tuning);
    let (end, ended) = oneshot::channel();
    let work = move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime
            .map_err(stopped)
            .and_then(|it| it.block_on(run(collector, source, &publish, asked, tuned)));
        // Nobody listens any more if the agent is ending for another reason.
        let _ = end.send(outcome);
    };
    let thread = thread::Builder::new().name("collector".to_owned());
    thread.spawn(work).map_err(|source| AgentError::System {
        what: "cannot start the collector's thread",
        source,
    })?;
    Ok(Collecting {
        snapshots: Snapshots {
            latest,
            questions,
            tuning,
        },
        ended,
    })
}

async fn run(
    mut collector: Collector,
    source: Source,
    publish: &watch::Sender<Arc<Snapshot>>,
    asked: mpsc::Receiver<Question>,
    tuning: watch::Receiver<Tuning>,
) -> Result<(), AgentError> {
    let mut samples = readable(source.samples).map_err(stopped)?;
    let logger = readable(source.logger).map_err(stopped)?;
    let worked = work(&mut collector, &mut samples, logger, publish, asked, tuning);
    let worked = worked
        .await
        .and_then(|()| collector.drain(samples.get_mut()));
    // What was seen until then is told, however it ended.
    let last = collector.tick();
    let last = last.map(|it| drop(publish.send_replace(Arc::new(it))));
    let finished = collector.finish();
    worked.and(last).and(finished)
}

/// Until it is told to end.
async fn work(
    collector: &mut Collector,
    samples: &mut AsyncFd<RingBuf<MapData>>,
    mut logger: AsyncFd<EbpfLogger<&'static dyn log::Log>>,
    publish: &watch::Sender<Arc<Snapshot>>,
    mut asked: mpsc::Receiver<Question>,
    mut tuning: watch::Receiver<Tuning>,
) -> Result<(), AgentError> {
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ready = samples.readable_mut() => {
                let mut ready = ready.map_err(stopped)?;
                collector.drain(ready.get_inner_mut())?;
                ready.clear_ready();
                sleep(BETWEEN_DRAINS).await;
            }
            ready = logger.readable_mut() => {
                let mut ready = ready.map_err(stopped)?;
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
            _ = clock.tick() => match collector.tick() {
                Ok(snapshot) => {
                    publish.send_replace(Arc::new(snapshot));
                }
                // What cannot be read now may be read in a second: the age of the snapshot tells.
                Err(error) => warn!("no snapshot: {}", chain(&error)),
            },
            Ok(()) = tuning.changed() => collector.tune(*tuning.borrow_and_update()),
            question = asked.recv() => match question {
                Some(Question::Select(selection, answer)) => {
                    let _ = answer.send(collector.select(selection));
                }
                Some(Question::Finish) | None => return Ok(()),
            },
        }
    }
}

/// Lets the runtime wait until a ring has something to read.
fn readable<T: AsRawFd>(ring: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the ring owns its descriptor and moves in with it, so it is open
    // for as long as it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    registered.map_err(io::Error::from)
}
