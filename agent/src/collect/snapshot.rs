//! What the agent knows at one moment. Views are made from it, and change nothing of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use probe_abi::{CpuCounters, Lost};
use verdicts::{Findings, recording::Head};

use super::{
    auditor::Audited, book::Book, calls::Calls, continuity::Found, holdings::Sums, hooks::Hook,
    reconcile::Balance, seeing::Silent,
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
        let CpuCounters {
            pages_pinned,
            pages_released,
            pages_rolled_back,
            ..
        } = self.totals;
        let untold = |kernel: u64, ours: u64| kernel.saturating_sub(ours + pages_rolled_back);
        let acquired = untold(self.kernel_since_start.acquired, pages_pinned);
        acquired.min(untold(self.kernel_since_start.released, pages_released))
    }
}
