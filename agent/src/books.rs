//! The kernel side's counters and ledger, mapped read-only: reading them makes
//! no system call and stops no probe.

use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd},
};

use aya::maps::MapData;
use memmap2::{Mmap, MmapOptions};
use probe_abi::{BUCKET_SLOTS, Bucket, CpuCounters, Kind, SlotNote, Word};

use crate::error::AgentError;

/// Both tables.
pub(crate) struct Books {
    counters: Mmap,
    cpus: usize,
    ledger: Mmap,
    buckets: usize,
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
            counters: map(counters, "COUNTERS", cpus * size_of::<CpuCounters>())?,
            cpus,
            ledger: map(ledger, "LEDGER", buckets * size_of::<Bucket>())?,
            buckets,
        })
    }

    /// Totals over all CPUs.
    pub(crate) fn totals(&self) -> CpuCounters {
        let at = self.counters.as_ptr().cast::<CpuCounters>();
        (0..self.cpus)
            // SAFETY: the mapping holds `cpus` of these and is page-aligned. The
            // kernel writes on: each field is a 64-bit word that cannot tear.
            .map(|cpu| unsafe { at.add(cpu).read_volatile() })
            .fold(CpuCounters::default(), |mut sum, it| {
                sum.pages_pinned += it.pages_pinned;
                sum.pages_unpinned += it.pages_unpinned;
                sum.pages_referenced += it.pages_referenced;
                sum.pages_unreferenced += it.pages_unreferenced;
                sum.gup_calls += it.gup_calls;
                sum.unpin_calls += it.unpin_calls;
                sum.pages_undone += it.pages_undone;
                sum.samples_issued += it.samples_issued;
                sum.zaps_in_walk += it.zaps_in_walk;
                add(&mut sum.walks, &it.walks);
                add(&mut sum.lost, &it.lost);
                sum
            })
    }

    /// Adds the ledger up.
    pub(crate) fn outstanding(&self) -> Outstanding {
        let mut sum = Outstanding::default();
        // A folio's slots may lie in two buckets: count it once.
        let mut folios: HashMap<u64, u32> = HashMap::new();
        let at = self.ledger.as_ptr().cast::<Bucket>();
        for bucket in 0..self.buckets {
            for slot in 0..BUCKET_SLOTS {
                // SAFETY: inside the mapping, aligned; a word cannot tear.
                let word =
                    Word(unsafe { (&raw const (*at.add(bucket)).words[slot]).read_volatile() });
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
                // SAFETY: as above; a note may be a moment older than its word.
                let note: SlotNote =
                    unsafe { (&raw const (*at.add(bucket)).notes[slot]).read_volatile() };
                sum.pinned_pages += u64::from(word.count());
                let oldest = sum
                    .oldest_pin_ns
                    .map_or(note.since_ns, |it| it.min(note.since_ns));
                sum.oldest_pin_ns = Some(oldest);
                folios.insert(word.key(), note.pages);
            }
        }
        sum.pinned_folios = folios.len() as u64;
        sum.held_pages = folios.values().map(|pages| u64::from(*pages)).sum();
        sum
    }

    /// Slots there are.
    pub(crate) fn capacity(&self) -> u64 {
        (self.buckets * BUCKET_SLOTS) as u64
    }
}

fn add<const N: usize>(sum: &mut [u64; N], more: &[u64; N]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

fn map(data: &MapData, name: &'static str, bytes: usize) -> Result<Mmap, AgentError> {
    let fd = data.fd().as_fd().as_raw_fd();
    // SAFETY: the kernel backs the mapping; nothing truncates a BPF map. Its
    // bytes change under us, and are read only through `read_volatile`.
    unsafe { MmapOptions::new().len(bytes).map(fd) }.map_err(|it| AgentError::Map {
        name,
        reason: format!("cannot map it: {it}"),
    })
}
