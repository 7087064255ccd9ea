//! The recording that goes to a file while the agent runs.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use probe_abi::MkcleanSample;
use verdicts::{
    Inputs, Losses,
    recording::{Head, Hook as RecordedHook, Writer},
};

use super::hooks::Hook;
use crate::kernel::{facts, sys::page_bytes};

/// A recording under way.
pub(super) struct Recorder(Writer<BufWriter<File>>);

impl Recorder {
    /// Begins the recording in `file`.
    pub(super) fn begin(file: File, head: &Head) -> io::Result<Self> {
        Writer::new(BufWriter::new(file), head).map(Self)
    }

    pub(super) fn sample(&mut self, sample: &MkcleanSample) -> io::Result<()> {
        self.0.sample(sample)
    }

    pub(super) fn losses(&mut self, losses: Losses) -> io::Result<()> {
        self.0.losses(losses)
    }

    /// Ends it.
    pub(super) fn finish(self) -> io::Result<()> {
        self.0.finish().and_then(|mut file| file.flush())
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
