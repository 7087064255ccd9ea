//! pinscope: observes pinned memory on a live Linux kernel.
//!
//! Rooms, each on top of the next: `commands`, `views`, `collect`, `census`, `owners` beside
//! `selftest`, `kernel`. A file imports from its own room and from those below; a test holds it.
//!
//! Exit codes: 0 done; 1 it failed after it had begun, or for want of what may be there a moment
//! later; 2 it could not start, and trying again changes nothing (`commands/failure.rs`).

mod census;
mod collect;
mod commands;
mod error;
#[cfg(test)]
mod fuzz;
mod kernel;
mod owners;
mod selftest;
mod views;

pub use commands::{command_line, main};
