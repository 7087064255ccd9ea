//! A trace: what happened to one page, a line an event, as the model checker prints it and a replay reads it.
//!
//! Left out: time, processes, which of several GUPs moved. The order of the lines is all there is.

mod capture;
mod event;
mod parse;

pub use capture::Capture;
pub use event::{Counter, Event, GupStep, Met, Page, Pin, ZapStep};
pub use parse::{BadTrace, NotAnEvent, TRACE_HEADER, read};
