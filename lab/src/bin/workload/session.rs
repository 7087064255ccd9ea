//! One run of the workload as a whole: where its files go, when it ends, who paces it.
//! It does no work of its own.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::counts::Counts;
use crate::kernel::word;

/// Set by SIGTERM and SIGINT; every loop looks at it.
static STOP: AtomicBool = AtomicBool::new(false);

/// How long a wait goes on before it looks at [`STOP`] again.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// Who says when a phase is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The clock: each phase lasts this long.
    Clock(Duration),
    /// A line on standard input, after the phase was announced on standard output.
    Told,
}

/// What every mode is given.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The directory for the files that are mapped and read.
    pub(crate) dir: PathBuf,
    /// Who ends a phase.
    pub(crate) pace: Pace,
    /// When to end even if the mode has more to do.
    pub(crate) ends_at: Option<Instant>,
}

#[derive(Serialize)]
struct Announcement<'a> {
    phase: &'a str,
    counts: &'a Counts,
}

impl Session {
    /// Whether the run was told to end or its time is up.
    pub(crate) fn over(&self) -> bool {
        STOP.load(Ordering::Relaxed) || self.ends_at.is_some_and(|end| Instant::now() >= end)
    }

    /// Announces `phase` and stays in it until the pace says that it is over.
    pub(crate) fn stay_in(&self, phase: &str, counts: &Counts) -> Result<()> {
        match self.pace {
            Pace::Clock(how_long) => {
                self.wait(how_long);
                Ok(())
            }
            Pace::Told => self.wait_for_word(phase, counts),
        }
    }

    /// A phase in which there is nothing to see, only to count: it ends at once unless
    /// somebody is to say when.
    pub(crate) fn pass(&self, phase: &str, counts: &Counts) -> Result<()> {
        match self.pace {
            Pace::Clock(_) => Ok(()),
            Pace::Told => self.wait_for_word(phase, counts),
        }
    }

    /// Says this on a line of its own.
    pub(crate) fn tell(&self, line: &impl Serialize) -> Result<()> {
        announce(line)
    }

    /// Says this, and stays until the pace says that it is over.
    pub(crate) fn stay_after(&self, line: &impl Serialize) -> Result<()> {
        announce(line)?;
        match self.pace {
            Pace::Clock(how_long) => {
                self.wait(how_long);
                Ok(())
            }
            Pace::Told => self.hear(),
        }
    }

    /// The end of standard input counts as a word, so that a holder whose driver died
    /// lets go.
    fn wait_for_word(&self, phase: &str, counts: &Counts) -> Result<()> {
        announce(&Announcement { phase, counts })?;
        self.hear()
    }

    fn hear(&self) -> Result<()> {
        while !self.over() && !word::came_within(SLICE)? {}
        Ok(())
    }

    /// Waits this long, or less if the run is over before.
    pub(crate) fn wait(&self, how_long: Duration) {
        let until = Instant::now() + how_long;
        while !self.over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

/// From now on SIGTERM and SIGINT end the run at its next look instead of at once.
pub(crate) fn stop_on_signals() -> Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the handler only stores to an atomic.
        let previous =
            unsafe { libc::signal(signal, on_signal as *const () as libc::sighandler_t) };
        if previous == libc::SIG_ERR {
            return Err(std::io::Error::last_os_error()).context("signal handlers were refused");
        }
    }
    Ok(())
}

extern "C" fn on_signal(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

fn announce(line: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}
