//! What the ledger may lack, from the loss that begins it to the audit that ends it.

use std::time::Duration;

use hooks::Family;
use log::info;
use probe_abi::{CpuCounters, Lost};

use super::{
    audit::Off,
    auditor::Auditor,
    reconcile::{Balance, Reconciler},
};
use crate::kernel::attach::Misses;

/// Writeback comes to a folio within so long of its becoming dirty (`dirty_expire_centisecs`,
/// `dirty_writeback_centisecs`): by then a walk has settled what an evicted tombstone told.
const TOMBSTONES_TOUCH: Duration = Duration::from_secs(60);

/// Looks after which a difference is no accident.
const STAYS: u32 = 2;

/// Looks after which the ledger is audited again for a difference that is still there.
const AGAIN: u32 = 30;

/// Causes of loss after which the ledger may lack pins.
const PIN_LOSSES: [usize; 6] = [
    Lost::LEDGER_FULL,
    Lost::UNREADABLE,
    Lost::THREADS_FULL,
    Lost::RETURN_MISSED,
    Lost::TRUNCATED,
    Lost::CONTENDED,
];

/// Runs and looks at which something was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// Runs of hooks on pins that the kernel skipped.
    pub(crate) of_pins: u64,
    /// Runs of all hooks that it did.
    pub(crate) of_all: u64,
    /// Looks at which a hook was silent.
    pub(crate) silences: u64,
}

impl Unseen {
    /// What was missed, and at how many looks a hook was silent.
    pub(crate) fn of(misses: &Misses, silences: u64) -> Self {
        let takes = |hook: &str| hooks::hook(hook).is_some_and(|it| it.family == Family::Gup);
        Self {
            of_pins: misses.of(takes),
            of_all: misses.all(),
            silences,
        }
    }
}

/// What the ledger may lack.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// What was lost of pins when all was last accounted for.
    settled: u64,
    /// What was lost when it was last looked at, and when that had grown.
    lost: u64,
    grew: Duration,
    /// What was not seen, of releases too.
    unseen: u64,
    /// Tombstones evicted, and when that had grown.
    tombstones: u64,
    evicted: Duration,
    /// For how many looks there has been the same difference, and since when.
    difference: i64,
    looks: u32,
    since: Duration,
}

impl Doubts {
    /// Takes note of what was lost, and has the ledger audited when it may be wrong for it.
    pub(crate) fn note_losses(
        &mut self,
        totals: &CpuCounters,
        unseen: Unseen,
        auditor: &mut Auditor,
        now: Duration,
    ) {
        let lost = PIN_LOSSES.iter().map(|it| totals.lost[*it]).sum::<u64>();
        let lost = lost + unseen.of_pins + unseen.silences;
        if lost != self.lost {
            self.lost = lost;
            self.grew = now;
        }
        if totals.lost[Lost::TOMBSTONES] != self.tombstones {
            self.tombstones = totals.lost[Lost::TOMBSTONES];
            self.evicted = now;
        }
        let all = unseen.of_all + unseen.silences;
        if all != self.unseen {
            self.unseen = all;
            auditor.hurry(now);
        }
    }

    /// Pins that the ledger may lack now, for all that is known.
    pub(crate) fn lacking(&self, balance: &Balance, now: Duration) -> u64 {
        let tombstones = if now < self.evicted + TOMBSTONES_TOUCH {
            self.tombstones
        } else {
            0
        };
        balance.preexisting
            + balance.unconfirmed.min(0).unsigned_abs()
            + (self.lost - self.settled)
            + tombstones
    }

    /// What the audit may put right where a folio alone does not tell.
    pub(crate) fn off(&self, balance: &Balance, auditor: &Auditor) -> Off {
        Off {
            lacking: balance.preexisting + balance.difference.min(0).unsigned_abs(),
            too_many: balance.difference.max(0).cast_unsigned(),
            stays: auditor.was_clean_since(self.since),
        }
    }

    /// Has the ledger audited when its balance stays off; and ends doubts when all is well.
    pub(crate) fn note_difference(
        &mut self,
        balance: &mut Balance,
        auditor: &mut Auditor,
        reconciler: &mut Reconciler,
        now: Duration,
    ) {
        let difference = balance.difference;
        if difference != self.difference {
            self.difference = difference;
            self.looks = 0;
            self.since = now;
        }
        self.looks = self.looks.saturating_add(1);
        let is_clean = auditor.is_clean_since(self.since);
        let is_time = !is_clean || self.looks.is_multiple_of(AGAIN);
        if difference != 0 && self.looks >= STAYS && is_time {
            auditor.hurry(now);
        }
        if !balance.is_exact || self.lost == self.settled {
            return;
        }
        if !auditor.is_clean_since(self.grew.max(self.since)) {
            auditor.hurry(now);
            return;
        }
        // Every folio of the ledger is as the kernel has it: what it counts beyond them was
        // pinned in the calls that were missed, nobody knows by whom.
        if difference < 0 {
            let n = difference.unsigned_abs();
            info!("{n} pins were not seen and are nobody's");
            reconciler.settle();
            balance.preexisting += n;
            balance.difference = 0;
            balance.unconfirmed = 0;
        }
        if balance.difference == 0 {
            self.settled = self.lost;
        }
    }
}
