//! `pinscope record`: runs the agent and writes what the kernel sent to a file.

use super::{cli::RecordOptions, failure::Done, run};

/// Records until told to stop, then reports the verdicts that a replay will reach.
pub(super) fn record(options: &RecordOptions) -> Done {
    run::run(&options.run, Some(&options.output))
}
