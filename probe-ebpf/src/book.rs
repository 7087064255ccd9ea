//! What is kept: the ledger and its owners, totals, what each thread is inside of, what
//! the agent has told.

pub(crate) mod counters;
pub(crate) mod entries;
pub(crate) mod identify;
mod learn;
pub(crate) mod owners;
pub(crate) mod paths;
pub(crate) mod releaser;
pub(crate) mod settings;
mod steps;
mod table;
pub(crate) mod threads;
pub(crate) mod walks;
pub(crate) mod ways;
