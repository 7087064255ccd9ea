//! From samples to verdicts: the judge, the report of what it found, and the recording from which
//! the same verdicts are reached again. Leaves out where samples come from and where reports go:
//! no clock, no eBPF, and of I/O no more than what is handed in.

#![forbid(unsafe_code)]

mod histogram;
mod judge;
pub mod recording;
pub mod replay;
mod report;
mod text;
mod trace;

pub use histogram::Histogram;
pub use judge::{
    Disagreement, Ended, Errors, Findings, Inputs, Judge, Losses, Race, Walks, WrongVerdict,
    contradicts, lacks_pins,
};
pub use report::Report;
pub use text::{harmless, shown};
pub use trace::{Trace, TraceError};
