//! The kernel around a program: arguments and stack of the traced call, the task, the
//! clock, pages and folios, and where the running kernel keeps all of that.

pub(crate) mod arch;
pub(crate) mod args;
pub(crate) mod clock;
pub(crate) mod folio;
pub(crate) mod interrupt;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod ring;
#[cfg_attr(feature = "baseline", path = "kernel/task/read.rs")]
pub(crate) mod task;
pub(crate) mod typed;
