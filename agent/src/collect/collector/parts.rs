//! What the collector works with.

use std::time::Duration;

use crate::{
    collect::{hooks::Hook, tuning::Tuning},
    error::AgentError,
    kernel::{
        attach::{Arming, Programs},
        census::Walker,
        function_names::MapIterator,
        inspect::Inspector,
        judgement::FlagBits,
        maps::{CallTable, Counters, LedgerView, OwnerTable, Settings},
        vmstat::{self, PinCounts},
    },
};

/// What the collector works with.
pub(crate) struct Parts {
    pub(crate) hooks: Vec<Hook>,
    pub(crate) self_test: Duration,
    pub(crate) bits: FlagBits,
    pub(crate) counters: Counters,
    pub(crate) ledger: LedgerView,
    pub(crate) owners: OwnerTable,
    pub(crate) calls: CallTable,
    pub(crate) inspector: Inspector,
    pub(crate) function_names: MapIterator,
    pub(crate) settings: Settings,
    pub(crate) programs: Programs,
    pub(crate) arming: Arming,
    pub(crate) tuning: Tuning,
    pub(crate) longterm_flag: Option<u32>,
    /// Where a census is wanted: what walks over all memory, and how many percent of a CPU that may
    /// take.
    pub(crate) census: Option<(Result<Walker, AgentError>, u32)>,
}

impl Parts {
    /// The kernel's count before the first pin that the ledger has.
    pub(super) fn pins_at_start(&self) -> Result<PinCounts, AgentError> {
        vmstat::refresh();
        let now = self.inspector.pins().map_or_else(PinCounts::read, Ok)?;
        Ok(now.before(self.counters.held_at_begin()))
    }
}
