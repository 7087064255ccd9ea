//! The time that a self-test may take, and acts that a sick disk may keep from
//! ending: those are done by a thread that is left behind when time has run out.

use std::{
    io::{self, Error, ErrorKind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    pub(super) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// The instant itself, for those who wait for something else besides.
    pub(super) fn at(self) -> Instant {
        self.0
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// What `act` gave, or that time ran out. It may then still be under way, with
    /// everything that it was given.
    pub(super) fn act<T: Send + 'static>(
        self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = mpsc::sync_channel(1);
        // Without a name of its own it has the process's, by which its owner's
        // record is known.
        thread::Builder::new().spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(act());
        })?;
        result
            .recv_timeout(self.left())
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, OUT_OF_TIME)))
    }
}

/// Why what was not come to is untested.
pub(super) const OUT_OF_TIME: &str = "time ran out before it was decided";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_time_gives_its_result() {
        let deadline = Deadline::within(Duration::from_secs(600));
        assert_eq!(deadline.act(|| Ok(7)).unwrap(), 7);
        let refused = deadline.act(|| Err::<(), _>(Error::other("no")));
        assert_eq!(refused.unwrap_err().to_string(), "no");
    }

    #[test]
    fn what_never_ends_is_left_behind() {
        let (_keeps_it_waiting, never) = mpsc::channel::<()>();
        let outcome = Deadline::within(Duration::from_millis(1))
            .act(move || never.recv().map_err(Error::other));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
