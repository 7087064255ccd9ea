//! The ledger, the kernel's count and the probes' totals, read so that they go together.

use std::time::Duration;

use probe_abi::CpuCounters;

use crate::{
    collect::{
        holdings::{Adder, Holdings},
        sampling,
    },
    error::AgentError,
    kernel::{
        inspect::Inspector,
        maps::{Counters, LedgerView, Settings},
        vmstat::{self, PinCounts},
    },
};

/// So often in a row nothing happened before that is believed: a program that was at work then is done.
const STILL_AFTER: u32 = 3;

/// The ledger is read so often all the same, in looks: a program may have been kept from going on for longer.
const EVERY: u32 = 8;

/// Whether anything happens to the ledger. Whoever changes it counts what it does.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    last: Option<(CpuCounters, u64)>,
    /// In how many looks in a row nothing had happened.
    looks: u32,
}

impl Stillness {
    /// A look at the probes' counters, and at how often the ledger was amended: whether it need not be
    /// read again.
    fn look(&mut self, totals: CpuCounters, amended: u64) -> bool {
        let now = Some((totals, amended));
        if self.last == now {
            self.looks = self.looks.saturating_add(1);
        } else {
            self.looks = 0;
            self.last = now;
        }
        self.looks >= STILL_AFTER && !self.looks.is_multiple_of(EVERY)
    }
}

/// What is read.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) ledger: &'a LedgerView,
    pub(super) counters: &'a Counters,
    pub(super) inspector: &'a Inspector,
    pub(super) settings: &'a Settings,
    /// What the probes had counted before.
    pub(super) before: CpuCounters,
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

/// Reads them, again and again.
#[derive(Debug, Default)]
pub(super) struct Reader {
    adder: Adder,
    stillness: Stillness,
}

impl Reader {
    /// What the ledger held when it was last read.
    pub(super) fn holdings(&self) -> &Holdings {
        self.adder.holdings()
    }

    /// Every owner that a slot named then.
    pub(super) fn owners(&self) -> impl Iterator<Item = u32> {
        self.adder.owners()
    }

    /// The first stratum that was complete then.
    pub(super) fn from(&self) -> usize {
        self.adder.from()
    }

    /// Reads all of them, again if the probes have begun to pass over a stratum meanwhile: what they
    /// passed over is in the totals, and not in a ledger that was read before.
    pub(super) fn read(&mut self, sources: Sources<'_>) -> Result<Reading, AgentError> {
        let mut is_changed = false;
        let mut is_still = self
            .stillness
            .look(sources.before, sources.inspector.amended());
        loop {
            let level = sources.settings.level();
            let from = sources.from.max(sampling::passed_over_below(level));
            if !is_still || self.adder.from() != from {
                is_changed |= self.adder.add_up(sources.ledger, from);
            }
            let kernel = sources.inspector.pins();
            let kernel_age = kernel.map_or_else(vmstat::interval, |_| Duration::ZERO);
            let kernel = kernel.map_or_else(PinCounts::read, Ok)?;
            let totals = sources.counters.totals();
            if is_still && totals != sources.before {
                is_still = false;
            } else if sources.settings.level() <= level {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(pages_pinned: u64) -> CpuCounters {
        CpuCounters {
            pages_pinned,
            ..CpuCounters::default()
        }
    }

    #[test]
    fn a_ledger_to_which_nothing_happens_is_read_now_and_then() {
        let mut stillness = Stillness::default();
        let read = (0..34).filter(|_| !stillness.look(totals(1), 0)).count();
        assert_eq!(read, 3 + 34 / 8);
    }

    #[test]
    fn whatever_happens_it_is_read_and_twice_more() {
        let mut stillness = Stillness::default();
        for (pinned, amended) in [(1, 0), (2, 0), (2, 1)] {
            for look in 0..6 {
                assert_eq!(stillness.look(totals(pinned), amended), look > 2);
            }
        }
    }
}
