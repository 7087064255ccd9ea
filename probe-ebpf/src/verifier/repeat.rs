//! Loops whose steps the verifier looks at once.

mod end;
#[cfg_attr(feature = "baseline", path = "repeat/bounded.rs")]
mod loops;

pub(crate) use end::ends;
pub(crate) use loops::*;
