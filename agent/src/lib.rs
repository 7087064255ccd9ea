//! pinscope: observes pinned memory on a live Linux kernel.
//!
//! Five rooms, each on top of the next: `commands`, `views`, `collect`, `owners` beside `selftest`,
//! `kernel`. A file imports from its own room and from those below; a test holds it.
//!
//! Exit codes: 0 done; 1 something failed while it ran; 2 it could not start:
//! bad arguments, a busy port, or a kernel that cannot be traced.

mod collect;
mod commands;
mod error;
mod kernel;
mod owners;
mod selftest;
mod views;

pub use commands::main;
