//! What a user sees: metrics, reports, summary. Each is made from a snapshot, which it cannot
//! change.

pub(crate) mod census;
mod clients;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod output;
pub(crate) mod pins;
pub(crate) mod socket;
pub(crate) mod status;
pub(crate) mod summary;
mod table;
mod units;
