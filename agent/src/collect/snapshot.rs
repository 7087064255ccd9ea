//! What the agent knows at one moment. Views are made from it, and change nothing of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use probe_abi::{CpuCounters, Lost};
use verdicts::{Findings, recording::Head};

use super::{
    audit::Cause, auditor::Audited, book::Book, calls::Calls, continuity::Found, holdings::Sums,
    hooks::Hook, reconcile::Balance, seeing::Silent, tuning::Reloaded,
};
use crate::{
    kernel::{attach::Armed, vmstat::PinCounts},
    owners::{registry::HoldTimes, suspects::Reason},
};

/// A snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// What does not change while the agent runs.
    pub(crate) agent: Arc<Fixed>,
    /// When reading it began: since boot, and since 1970.
    pub(crate) at: Duration,
    pub(crate) at_unix: Duration,
    /// What the probes counted since the start.
    pub(crate) totals: CpuCounters,
    /// What was lost, by [`Lost::NAMES`].
    pub(crate) lost: [u64; Lost::COUNT],
    /// Runs that were skipped, by hook.
    pub(crate) missed: BTreeMap<&'static str, u64>,
    /// Hooks that saw, and do not any more.
    pub(crate) silent: Silent,
    /// The kernel's own counts, since boot and since the start.
    pub(crate) kernel: PinCounts,
    pub(crate) kernel_since_start: PinCounts,
    pub(crate) balance: Balance,
    pub(crate) outstanding: Outstanding,
    pub(crate) calls: Calls,
    /// Whether walks are seen.
    pub(crate) armed: Armed,
    pub(crate) audited: Audited,
    /// What the census at the start came to.
    pub(crate) found: Found,
    pub(crate) book: Arc<Book>,
    pub(crate) suspects: BTreeMap<Reason, usize>,
    pub(crate) hold_times: BTreeMap<&'static str, HoldTimes>,
    /// Owners that are told apart.
    pub(crate) owners: usize,
    /// Why call paths have no names, where they have none.
    pub(crate) unnamed_paths: Option<Arc<str>>,
    /// Samples that came out of the ring and could be read.
    pub(crate) delivered: u64,
    pub(crate) findings: Arc<Findings>,
    /// What came of reading the configuration.
    pub(crate) reloaded: Reloaded,
}

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub(crate) hooks: Vec<Hook>,
    /// How long their test took.
    pub(crate) self_test: Duration,
    pub(crate) head: Head,
    pub(crate) ledger_slots: u64,
    pub(crate) owners_limit: usize,
}

/// What is outstanding now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outstanding {
    /// Pins not yet released: those in the ledger, and those that sampling passes over.
    pub(crate) pins: u64,
    /// Of those, what sampling passes over.
    pub(crate) passed_over: u64,
    /// Plain references on file folios that are not known to be released.
    pub(crate) references: u64,
    /// Slots in use, those that only remember included.
    pub(crate) slots_used: u64,
}

impl Outstanding {
    /// What the ledger holds, and what sampling passes over.
    pub(super) const fn of(sums: &Sums, passed_over: u64) -> Self {
        Self {
            pins: sums.pins + passed_over,
            passed_over,
            references: sums.references,
            slots_used: sums.slots,
        }
    }
}

impl Snapshot {
    /// What the kernel counts as pinned and as released since the start, and no call told of: it
    /// took them back inside one. What is under way shows, too.
    pub(crate) fn rolled_back_unseen(&self) -> u64 {
        untold_of(self.kernel_since_start, &self.totals, &self.audited)
    }
}

/// A pin and its release that nobody told of. What was missed and is put right is one of them only.
fn untold_of(kernel: PinCounts, totals: &CpuCounters, audited: &Audited) -> u64 {
    let untold = |kernel: u64, told: u64, missed: Cause| {
        kernel.saturating_sub(told + totals.pages_rolled_back + audited.of(missed))
    };
    let acquired = untold(kernel.acquired, totals.pages_pinned, Cause::PinMissed);
    acquired.min(untold(
        kernel.released,
        totals.pages_released,
        Cause::ReleaseMissed,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untold(acquired: u64, released: u64, repaired: Option<(Cause, u64)>) -> u64 {
        let kernel = PinCounts {
            acquired: 1000,
            released: 1000,
        };
        let totals = CpuCounters {
            pages_pinned: 1000 - acquired - 10,
            pages_released: 1000 - released - 10,
            pages_rolled_back: 10,
            ..CpuCounters::default()
        };
        let mut audited = Audited::default();
        if let Some((cause, n)) = repaired {
            audited.repaired[cause as usize] = n;
        }
        untold_of(kernel, &totals, &audited)
    }

    #[test]
    fn what_no_call_told_of_was_rolled_back() {
        assert_eq!(untold(7, 7, None), 7);
        assert_eq!(untold(7, 0, None), 0);
        assert_eq!(untold(0, 7, None), 0);
    }

    /// Seen on a kernel that skips some runs of both: releases at one time, pins at another.
    #[test]
    fn what_was_missed_and_put_right_was_not_rolled_back() {
        assert_eq!(untold(5, 44, Some((Cause::ReleaseMissed, 44))), 0);
        assert_eq!(untold(44, 5, Some((Cause::PinMissed, 44))), 0);
        assert_eq!(untold(5, 49, Some((Cause::ReleaseMissed, 44))), 5);
    }
}
