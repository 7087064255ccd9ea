//! Signals that a run heeds.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::AgentError;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    End,
    Reload,
}

/// Those that are caught.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Whether one came that asks for the end. It tells a thread that is at work and waits for nothing.
    ends: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn catch() -> Result<Self, AgentError> {
        let cannot = |source| AgentError::System {
            what: "cannot catch signals",
            source,
        };
        let caught = |kind| signal(kind).map_err(cannot);
        let signals = Self {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
            hangup: caught(SignalKind::hangup())?,
            ends: Arc::new(AtomicBool::new(false)),
        };
        let mut ending = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if io::stdin().is_terminal() {
            ending.push(SignalKind::hangup());
        }
        for kind in ending {
            let noted = flag::register(kind.as_raw_value(), Arc::clone(&signals.ends));
            noted.map_err(cannot)?;
        }
        Ok(signals)
    }

    /// Whether one came that asks for the end, whoever has heard it.
    pub(super) fn ends(&self) -> &AtomicBool {
        &self.ends
    }

    /// An error if one came that asks for the end.
    pub(super) fn check(&self) -> Result<(), AgentError> {
        match self.ends.load(Ordering::Relaxed) {
            true => Err(AgentError::ToldToEnd),
            false => Ok(()),
        }
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            // Who has a terminal is left by it.
            _ = self.hangup.recv() => match io::stdin().is_terminal() {
                true => Asked::End,
                false => Asked::Reload,
            },
        }
    }

    /// The next one that ends.
    pub(super) async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}
