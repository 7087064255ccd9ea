//! The recording that goes to a file while the agent runs.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use probe_abi::MkcleanSample;
use verdicts::{
    Inputs, Losses,
    recording::{Head, Hook as RecordedHook, Writer},
};

use super::hooks::Hook;
use crate::{
    error::AgentError,
    kernel::{facts, sys::page_bytes},
};

/// A file that a recording goes to.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// A recording under way.
pub(super) struct Recorder {
    writer: Writer<BufWriter<File>>,
    path: PathBuf,
}

impl Recorder {
    /// Begins the recording. What the file held is gone.
    pub(super) fn begin(to: Destination, head: &Head) -> Result<Self, AgentError> {
        let Destination { file, path } = to;
        let emptied = file.metadata().and_then(|it| match it.is_file() {
            true => file.set_len(0),
            false => Ok(()),
        });
        let begun = emptied.and_then(|()| Writer::new(BufWriter::new(file), head));
        match begun {
            Ok(writer) => Ok(Self { writer, path }),
            Err(error) => Err(failed(&path, error)),
        }
    }

    pub(super) fn sample(&mut self, sample: &MkcleanSample) -> Result<(), AgentError> {
        let written = self.writer.sample(sample);
        written.map_err(|it| failed(&self.path, it))
    }

    pub(super) fn losses(&mut self, losses: Losses) -> Result<(), AgentError> {
        let written = self.writer.losses(losses);
        written.map_err(|it| failed(&self.path, it))
    }

    /// Ends it.
    pub(super) fn finish(self) -> Result<(), AgentError> {
        let ended = self.writer.finish().and_then(|mut file| file.flush());
        ended.map_err(|it| failed(&self.path, it))
    }
}

fn failed(path: &Path, source: io::Error) -> AgentError {
    AgentError::Write {
        path: path.to_owned(),
        source,
    }
}

/// What the running agent knows of itself.
pub(super) fn head(hooks: &[Hook], inputs: Inputs, ledger_slots: u64) -> Head {
    Head {
        kernel: facts::release(),
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_seconds: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |it| it.as_secs()),
        page_bytes: page_bytes(),
        ledger_slots,
        inputs,
        hooks: hooks
            .iter()
            .filter_map(|hook| {
                let (symbol, method) = hook.state.attached.filter(|_| hook.sees())?;
                Some(RecordedHook {
                    name: hook.state.name.to_owned(),
                    symbol: symbol.to_owned(),
                    method: method.name().to_owned(),
                })
            })
            .collect(),
    }
}
