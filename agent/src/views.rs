//! What a user sees: metrics, reports, summary. Made from the state of the collector.

pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod output;
pub(crate) mod pins;
pub(crate) mod socket;
pub(crate) mod summary;
