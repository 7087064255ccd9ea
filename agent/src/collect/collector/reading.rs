//! The ledger, the kernel's count and the probes' totals, read so that they go together.

use std::time::Duration;

use probe_abi::CpuCounters;

use crate::{
    collect::{holdings::Adder, sampling},
    error::AgentError,
    kernel::{
        inspect::Inspector,
        maps::{Counters, LedgerView, Settings},
        vmstat::{self, PinCounts},
    },
};

/// What is read.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) ledger: &'a LedgerView,
    pub(super) counters: &'a Counters,
    pub(super) inspector: &'a Inspector,
    pub(super) settings: &'a Settings,
    /// The first stratum that was complete at the last reading.
    pub(super) from: usize,
}

/// What was found. The ledger is added up in the adder.
pub(super) struct Reading {
    /// Whether the ledger holds something else than before.
    pub(super) is_changed: bool,
    /// The level of sampling.
    pub(super) level: u64,
    pub(super) kernel: PinCounts,
    /// How old the kernel's count may be.
    pub(super) kernel_age: Duration,
    pub(super) totals: CpuCounters,
}

/// Reads all of them, again if the probes have begun to pass over a stratum meanwhile: what they
/// passed over is in the totals, and not in a ledger that was read before.
pub(super) fn read(adder: &mut Adder, sources: Sources<'_>) -> Result<Reading, AgentError> {
    let mut is_changed = false;
    loop {
        let level = sources.settings.level();
        let from = sources.from.max(sampling::passed_over_below(level));
        is_changed |= adder.add_up(sources.ledger, from);
        let kernel = sources.inspector.pins();
        let kernel_age = kernel.map_or_else(vmstat::interval, |_| Duration::ZERO);
        let kernel = kernel.map_or_else(PinCounts::read, Ok)?;
        let totals = sources.counters.totals();
        if sources.settings.level() <= level {
            return Ok(Reading {
                is_changed,
                level,
                kernel,
                kernel_age,
                totals,
            });
        }
    }
}
