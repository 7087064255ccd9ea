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
        return match options.format {
            Format::Text => output::print(&trace.text()),
            Format::Json => output::print(&trace.json()),
        }
        .map_err(Failure::Running);
    }
    let damaged = |damage| AgentError::Recording {
        path: path.clone(),
        damage,
    };
    let mut reader = Reader::new(input).map_err(|it| Failure::Start(damaged(it)))?;
    let (judged, damage) = judge(&mut reader);
    let report = Report::of(reader.head(), &judged.findings());
    output::print(&options.format.verdicts(&report)).map_err(Failure::Running)?;
    match damage {
        None => Ok(()),
        Some(damage) => {
            warn!("{} samples before it were used", judged.judged());
            Err(Failure::Running(damaged(damage)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_recording() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/");
        let seeds = ["7.3-hold.rec", "6.12-private-after-pin.rec"];
        let seeds = seeds.map(|it| std::fs::read(format!("{folder}{it}")).unwrap());
        crate::fuzz::bytes(&[&seeds[0], &seeds[1]], |it| {
            if let Ok(mut reader) = Reader::new(it) {
                let (judged, _damage) = judge(&mut reader);
                let report = Report::of(reader.head(), &judged.findings());
                drop(Format::Json.verdicts(&report));
            }
        });
    }

    #[test]
    fn fuzz_trace() {
        let seed = b"pinscope-trace 1\n\
            page shared 1 private 0 pins 1 flag set pin bias\n\
            mkclean reads the combined count: 2\n\
            mkclean passes entry 0: present, counted\n\
            mkclean ends its walk: 1\n\
            zap marks entry 0: 2\n\
            zap decrements the mapcount for entry 0\n";
        assert!(Trace::read(&seed[..]).is_ok());
        crate::fuzz::bytes(&[seed], |it| {
            if let Ok(trace) = Trace::read(it) {
                drop(trace.text());
            }
        });
    }
}
