//! The modelled kernel page: every interleaving, every estimator, every property.
//!
//! The estimators are those that run live: this crate only answers their questions, one step at a time, while GUPs,
//! releases and zaps move in between. What it leaves out, and why that is sound, stands in `docs/estimators.md`.

pub mod document;
pub mod finding;
pub mod mutation;
pub mod scenario;
pub mod search;
pub mod table;
pub mod text;
pub mod world;

mod cleaner;
mod entry;
mod gup;
