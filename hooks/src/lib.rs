//! Which kernel functions to hook: what could serve (the catalogue), what a kernel has (facts),
//! what follows from both (plan, layout, names of programs). Leaves out asking the kernel and
//! attaching: no I/O, no clock, no eBPF, so that every kernel's choice is tested on any host.

#![forbid(unsafe_code)]

mod attach;
mod catalogue;
mod exercise;
mod facts;
mod functions;
mod hook;
mod layout;
mod plan;
mod programs;
mod prototype;
mod reject;

pub use attach::{Attach, Method};
pub use catalogue::{
    BUFFERS_CLONED, HOOKS, MAPCOUNT_DECREMENT, MKCLEAN, PTES_FOUND, ROLLBACK, ZAP, hook,
};
pub use exercise::{Exercise, Test};
pub use facts::{Facts, Function, Methods, Range, SURE_ARGUMENTS, Support};
pub use hook::{At, Candidate, Context, Family, Feeds, Hook, Need};
pub use layout::{ENUMERATORS, LayoutError, MEMBERS, SIZES, SYMBOLS, layout, shows_pending_pins};
pub use plan::{NoHook, Obstacle, Step, fatal, obstacle, plan};
pub use programs::{Entries, calls_nest, entries, is_fallback, most_programs, program_names};
pub use prototype::{Argument, Prototype};
pub use reject::Reject;
