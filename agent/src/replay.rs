//! `pinscope replay`: a recording, or a trace of the model, judged by the code
//! that judges live. Needs no privileges and no eBPF.

mod trace;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use log::warn;

use crate::{
    Judge,
    cli::ReplayOptions,
    error::AgentError,
    output,
    recording::{Chunk, Damage, MAGIC, Reader},
    report::Report,
};

/// Bytes read from the file at once.
const BUFFER_BYTES: usize = 1 << 16;

/// Replays a file, whichever of the two it is.
pub(crate) fn replay(options: &ReplayOptions) -> Result<(), AgentError> {
    let path = &options.file;
    let unreadable = |source| AgentError::Read {
        path: path.clone(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    if !input.fill_buf().map_err(unreadable)?.starts_with(&MAGIC) {
        return trace::replay(input, path, options.format);
    }
    let damaged = |damage| AgentError::Recording {
        path: path.clone(),
        damage,
    };
    let mut reader = Reader::new(input).map_err(damaged)?;
    let (judged, damage) = judge(&mut reader);
    output::print(&Report::of(reader.head(), &judged).format(options.format));
    match damage {
        None => Ok(()),
        Some(damage) => {
            warn!("{} samples before it were used", judged.judged);
            Err(damaged(damage))
        }
    }
}

/// Judges all of a recording, or what comes before its damage.
pub fn judge<R: Read>(reader: &mut Reader<R>) -> (Judge, Option<Damage>) {
    let head = reader.head();
    let capacity = usize::try_from(head.ledger_slots).unwrap_or(usize::MAX);
    let mut judge = Judge::new(capacity, head.inputs);
    loop {
        match reader.next_chunk() {
            Ok(Some(Chunk::Samples(samples))) => {
                for sample in samples {
                    judge.judge(sample);
                }
            }
            Ok(Some(Chunk::Losses(losses))) => judge.lose(losses),
            Ok(None) => return (judge, None),
            Err(damage) => return (judge, Some(damage)),
        }
    }
}
