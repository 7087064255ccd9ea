//! Programs that are attached to nothing: the agent runs them to ask what a pointer stands
//! for, how folios and processes are, what the kernel counts, and to have the ledger
//! changed, which is done here and nowhere else.

mod amend;
mod find;
pub(crate) mod folios;
mod names;
mod nodes;
mod processes;
