//! `pinscope replay`: a recording, or a trace of the model, judged by the code
//! that judges live. Needs no privileges and no eBPF.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use log::warn;
use verdicts::{
    Report, Trace, TraceError,
    recording::{MAGIC, Reader},
    replay::judge,
};

use super::{
    cli::ReplayOptions,
    failure::{Done, Failure},
};
use crate::{
    error::AgentError,
    views::output::{self, Format},
};

/// Bytes read from the file at once.
const BUFFER_BYTES: usize = 1 << 16;

/// Replays a file, whichever of the two it is.
pub(super) fn replay(options: &ReplayOptions) -> Done {
    let path = &options.file;
    let unreadable = |source| {
        Failure::Start(AgentError::Read {
            path: path.clone(),
            source,
        })
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    if !input.fill_buf().map_err(unreadable)?.starts_with(&MAGIC) {
        let trace = Trace::read(input).map_err(|error| match error {
            TraceError::Io(source) => unreadable(source),
            TraceError::Refused(reason) => Failure::Start(AgentError::Trace {
                path: path.clone(),
                reason,
            }),
        })?;
        match options.format {
            Format::Text => output::print(&trace.text()),
            Format::Json => output::print(&trace.json()),
        }
        return Ok(());
    }
    let damaged = |damage| AgentError::Recording {
        path: path.clone(),
        damage,
    };
    let mut reader = Reader::new(input).map_err(|it| Failure::Start(damaged(it)))?;
    let (judged, damage) = judge(&mut reader);
    let report = Report::of(reader.head(), &judged.findings());
    output::print(&options.format.verdicts(&report));
    match damage {
        None => Ok(()),
        Some(damage) => {
            warn!("{} samples before it were used", judged.judged());
            Err(Failure::Running(damaged(damage)))
        }
    }
}
