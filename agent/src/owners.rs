//! Who pins: owners by the index that the ledger's slots have, with all that names them.
//!
//! Leaves out what they hold.

mod by;
pub(crate) mod cgroups;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod memcgs;
mod names;
pub(crate) mod processes;
pub(crate) mod registry;
pub(crate) mod subsystems;
pub(crate) mod suspects;
pub(crate) mod symbols;
pub(crate) mod users;

pub(crate) use by::By;
