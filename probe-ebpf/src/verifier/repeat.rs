//! Loops whose steps the verifier looks at once.

pub(crate) mod end;
#[cfg_attr(feature = "baseline", path = "repeat/bounded.rs")]
pub(crate) mod loops;

pub(crate) use end::ends;
pub(crate) use loops::*;
