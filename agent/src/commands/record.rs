//! `pinscope record`: runs the agent and writes what the kernel sent to a file.

use std::path::Path;

use super::{failure::Done, run, settings::Settings};

/// Records until told to stop, then reports the verdicts that a replay will reach.
pub(super) fn record(settings: Settings, output: &Path) -> Done {
    run::run(settings, Some(output))
}
