//! `pinscope record`: runs the agent and writes what the kernel sent to a file.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use log::info;
use verdicts::{
    Inputs, Report,
    recording::{Head, Hook, Writer},
};

use crate::{
    attach::HookState,
    cli::{Format, RecordOptions},
    error::AgentError,
    facts, metrics, output,
    run::{self, AtEnd},
    state::State,
};

/// A recording that goes to a file.
pub(crate) type Recorder = Writer<BufWriter<File>>;

/// Records until told to stop, then reports the verdicts that a replay will reach.
pub(crate) fn record(options: &RecordOptions) -> Result<(), AgentError> {
    run::run(&options.run, AtEnd::Recording(options.output.clone()))
}

/// Makes the file; what it held is gone.
pub(crate) fn create(path: &Path) -> Result<File, AgentError> {
    File::create(path).map_err(|source| cannot_write(path, source))
}

/// Begins the recording in `file`.
pub(crate) fn begin(file: File, path: &Path, head: &Head) -> Result<Recorder, AgentError> {
    Writer::new(BufWriter::new(file), head).map_err(|source| cannot_write(path, source))
}

/// Ends the recording, and prints what a replay of it will print.
pub(crate) fn end(state: &mut State, path: &Path, format: Format) -> Result<(), AgentError> {
    if let Some(recorder) = state.recorder.take() {
        recorder
            .finish()
            .and_then(|mut file| file.flush())
            .map_err(|source| cannot_write(path, source))?;
        info!("{} samples in {}", state.judge.judged(), path.display());
    }
    output::print(&format.verdicts(&Report::of(&state.head, &state.judge)));
    Ok(())
}

/// What the running agent knows of itself.
pub(crate) fn head(hooks: &[HookState], inputs: Inputs, ledger_slots: u64) -> Head {
    Head {
        kernel: facts::release(),
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_seconds: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |it| it.as_secs()),
        page_bytes: metrics::page_bytes(),
        ledger_slots,
        inputs,
        hooks: hooks
            .iter()
            .filter_map(|hook| {
                let (symbol, method) = hook.attached.filter(|_| hook.sees())?;
                Some(Hook {
                    name: hook.name.to_owned(),
                    symbol: symbol.to_owned(),
                    method: method.name().to_owned(),
                })
            })
            .collect(),
    }
}

fn cannot_write(path: &Path, source: std::io::Error) -> AgentError {
    AgentError::Write {
        path: path.to_owned(),
        source,
    }
}
