//! What the probes and the agent share, mapped: reading it makes no system call and stops no probe.

mod calls;
mod counters;
mod ledger;
mod mapped;
mod owner_table;
mod settings;
mod walks;

pub(crate) use calls::CallTable;
pub(crate) use counters::Counters;
pub(crate) use ledger::{LedgerView, Slot};
pub(crate) use mapped::Shared;
pub(crate) use owner_table::OwnerTable;
pub(crate) use settings::Settings;
pub(crate) use walks::WalkCount;
