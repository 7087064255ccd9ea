//! Atomic changes to words in map values.

mod plain;
#[cfg_attr(feature = "baseline", path = "atomic/locked.rs")]
mod swap;

pub(crate) use plain::{load, xadd, xadd32};
pub(crate) use swap::swap;
