//! The verdicts so far, as a report: the same whether they were reached live or
//! in a replay, to the byte.
//!
//! Nothing that a recording does not hold is in it: no totals, no clock.

mod content;
mod disagreement;
mod text;

pub use content::Report;
pub(crate) use disagreement::steps;
