//! What may change while the collector is at work.

use std::time::Duration;

use super::arming::WritebackHooks;

/// Settings that it takes over, and how they came to be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub(crate) writeback_hooks: WritebackHooks,
    pub(crate) writeback_calm: Duration,
    /// Pins count as old after this.
    pub(crate) old_after: Duration,
    pub(crate) reloaded: Reloaded,
}

/// What came of reading the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Whether what was read last is in force.
    pub(crate) is_successful: bool,
    /// When what is in force was read, since 1970.
    pub(crate) succeeded_at: Duration,
}
