//! What it takes for the kernel's verifier to believe a program: loops whose steps it
//! looks at once, room to work in, numbers of which it knows nothing.

pub(crate) mod atomic;
pub(crate) mod repeat;
#[cfg_attr(feature = "baseline", path = "verifier/scratch/shared.rs")]
pub(crate) mod scratch;
pub(crate) mod table;
pub(crate) mod unknown;
