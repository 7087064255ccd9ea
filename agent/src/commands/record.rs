//! `pinscope record`: runs the agent and writes what the kernel sent to a file.

use super::{cli::RecordOptions, run};
use crate::error::AgentError;

/// Records until told to stop, then reports the verdicts that a replay will reach.
pub(super) fn record(options: &RecordOptions) -> Result<(), AgentError> {
    run::run(&options.run, Some(&options.output))
}
