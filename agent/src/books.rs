//! The kernel side's counters and ledger, mapped read-only: reading them makes
//! no system call and stops no probe.

use std::{
    collections::{HashMap, HashSet},
    mem::offset_of,
};

use aya::maps::MapData;
use probe_abi::{BUCKET_SLOTS, Bucket, CpuCounters, Kind, Lost, SlotNote, WALK_KINDS, Word};

use crate::{error::AgentError, mapped::Mapped};

/// Both tables.
pub(crate) struct Books {
    counters: Mapped,
    cpus: usize,
    ledger: Mapped,
    buckets: usize,
    /// What the counters held when counting began.
    origin: CpuCounters,
}

/// What is outstanding now, from one pass over the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outstanding {
    /// Pins not yet released, in pages.
    pub(crate) pinned_pages: u64,
    /// Folios with at least one pin.
    pub(crate) pinned_folios: u64,
    /// Pages of those folios, pinned or not: the memory that cannot move.
    pub(crate) held_pages: u64,
    /// Plain references not yet seen released, on file folios.
    pub(crate) references: u64,
    /// Slots in use, those that only remember included.
    pub(crate) slots_used: u64,
    /// `since_ns` of the oldest outstanding pin.
    pub(crate) oldest_pin_ns: Option<u64>,
}

impl Books {
    pub(crate) fn map(
        counters: &MapData,
        cpus: usize,
        ledger: &MapData,
        buckets: usize,
    ) -> Result<Self, AgentError> {
        Ok(Self {
            counters: Mapped::new(counters, "COUNTERS", cpus * size_of::<CpuCounters>())?,
            cpus,
            ledger: Mapped::new(ledger, "LEDGER", buckets * size_of::<Bucket>())?,
            buckets,
            origin: CpuCounters::default(),
        })
    }

    /// Forgets what was counted so far: the self-test's own pins, and what fell
    /// between the first hook and the last.
    pub(crate) fn begin(&mut self) {
        self.origin = CpuCounters::default();
        self.origin = self.totals();
    }

    /// Totals over all CPUs since [`Self::begin`].
    pub(crate) fn totals(&self) -> CpuCounters {
        let origin = bytemuck::bytes_of(&self.origin);
        let sum = |offset: usize| {
            let counter = |cpu: usize| cpu * size_of::<CpuCounters>() + offset;
            let total: u64 = (0..self.cpus)
                .map(|cpu| self.counters.u64_at(counter(cpu)))
                .sum();
            let begun = origin[offset..].first_chunk().copied().unwrap_or_default();
            total - u64::from_ne_bytes(begun)
        };
        let mut walks = [0; WALK_KINDS];
        for (kind, walks) in walks.iter_mut().enumerate() {
            *walks = sum(offset_of!(CpuCounters, walks) + kind * 8);
        }
        let mut lost = [0; Lost::COUNT];
        for (cause, lost) in lost.iter_mut().enumerate() {
            *lost = sum(offset_of!(CpuCounters, lost) + cause * 8);
        }
        CpuCounters {
            pages_pinned: sum(offset_of!(CpuCounters, pages_pinned)),
            pages_unpinned: sum(offset_of!(CpuCounters, pages_unpinned)),
            pages_referenced: sum(offset_of!(CpuCounters, pages_referenced)),
            pages_unreferenced: sum(offset_of!(CpuCounters, pages_unreferenced)),
            gup_calls: sum(offset_of!(CpuCounters, gup_calls)),
            unpin_calls: sum(offset_of!(CpuCounters, unpin_calls)),
            pages_undone: sum(offset_of!(CpuCounters, pages_undone)),
            walks,
            samples_issued: sum(offset_of!(CpuCounters, samples_issued)),
            zaps_in_walk: sum(offset_of!(CpuCounters, zaps_in_walk)),
            lost,
            gups_in_writeback: sum(offset_of!(CpuCounters, gups_in_writeback)),
            reserved: [0; 2],
        }
    }

    /// Adds the ledger up.
    pub(crate) fn outstanding(&self) -> Outstanding {
        let mut sum = Outstanding::default();
        // A folio's slots may lie in two buckets: count it once.
        let mut folios: HashMap<u64, u32> = HashMap::new();
        for bucket in 0..self.buckets {
            let bucket = bucket * size_of::<Bucket>();
            for slot in 0..BUCKET_SLOTS {
                let at = bucket + offset_of!(Bucket, words) + slot * 8;
                let word = Word(self.ledger.u64_at(at));
                if word.is_empty() {
                    continue;
                }
                sum.slots_used += 1;
                if word.count() == 0 || word.is_busy() {
                    continue;
                }
                if word.kind() == Kind::Get {
                    sum.references += u64::from(word.count());
                    continue;
                }
                // A note may be a moment older than its word.
                let note = bucket + offset_of!(Bucket, notes) + slot * size_of::<SlotNote>();
                let since_ns = self.ledger.u64_at(note + offset_of!(SlotNote, since_ns));
                let pages = self.ledger.u32_at(note + offset_of!(SlotNote, pages));
                sum.pinned_pages += u64::from(word.count());
                sum.oldest_pin_ns = Some(sum.oldest_pin_ns.map_or(since_ns, |it| it.min(since_ns)));
                folios.insert(word.key(), pages);
            }
        }
        sum.pinned_folios = folios.len() as u64;
        sum.held_pages = folios.values().map(|pages| u64::from(*pages)).sum();
        sum
    }

    /// Keys of every slot in use, whatever its count.
    pub(crate) fn keys(&self) -> HashSet<u64> {
        let words = (0..self.buckets).flat_map(|bucket| {
            let at = bucket * size_of::<Bucket>() + offset_of!(Bucket, words);
            (0..BUCKET_SLOTS).map(move |slot| Word(self.ledger.u64_at(at + slot * 8)))
        });
        words.filter(|it| !it.is_empty()).map(Word::key).collect()
    }

    /// Slots there are.
    pub(crate) fn capacity(&self) -> u64 {
        (self.buckets * BUCKET_SLOTS) as u64
    }
}
