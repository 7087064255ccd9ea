//! Threads that go on together until their time is up, the run is over, or one of them fails.
//! What each does is its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::counts::Counts;
use crate::session::Session;

/// When to stop.
pub(crate) struct Together<'a> {
    session: &'a Session,
    until: Instant,
    failed: AtomicBool,
}

/// What a thread does for as long as [`Together::on`] is true.
pub(crate) type Job<'a> = Box<dyn Fn(&Together) -> Result<Counts> + Send + 'a>;

impl Together<'_> {
    /// Whether to go on.
    pub(crate) fn on(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && !self.session.over() && Instant::now() < self.until
    }

    fn join(&self, job: &Job) -> Result<Counts> {
        let ended = job(self);
        if ended.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        ended
    }
}

/// Does them all for as long as this takes; gives what they counted together.
pub(crate) fn run(session: &Session, how_long: Duration, jobs: Vec<Job>) -> Result<Counts> {
    let together = Together {
        session,
        until: Instant::now() + how_long,
        failed: AtomicBool::new(false),
    };
    let together = &together;
    scope(|threads| {
        let all: Vec<_> = jobs
            .into_iter()
            .map(|job| threads.spawn(move || together.join(&job)))
            .collect();
        all.into_iter()
            .map(|one| one.join().map_err(|_panic| anyhow!("a thread panicked"))?)
            .sum()
    })
}
