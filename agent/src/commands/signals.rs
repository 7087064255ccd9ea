//! Signals that a run heeds.

use std::io::{self, IsTerminal as _};

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
}

impl Signals {
    pub(super) fn catch() -> Result<Self, AgentError> {
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
