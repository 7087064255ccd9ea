//! The probes' counters, mapped.

use aya::maps::MapData;
use probe_abi::{CpuCounters, Lost};

use super::mapped::Mapped;
use crate::error::AgentError;

/// One value for each CPU.
pub(crate) struct Counters {
    values: Mapped,
    cpus: usize,
    /// What they held when counting began, but for pins that were held then.
    origin: CpuCounters,
    held: u64,
}

impl Counters {
    pub(crate) fn map(data: &MapData, cpus: usize) -> Result<Self, AgentError> {
        Ok(Self {
            values: Mapped::new(data, "COUNTERS", cpus * size_of::<CpuCounters>())?,
            cpus,
            origin: CpuCounters::default(),
            held: 0,
        })
    }

    /// Forgets what was counted so far: the self-test's own pins, and what fell
    /// between the first hook and the last. Pins that are in the ledger by then count as acquired,
    /// or their releases would be more than what was acquired; `forgotten` were taken out of it.
    pub(crate) fn begin(&mut self, forgotten: u64) {
        self.origin = CpuCounters::default();
        let mut origin = self.totals();
        let held = held(&origin).wrapping_sub(forgotten);
        origin.pages_pinned = origin.pages_pinned.wrapping_sub(held);
        // What the kernel skipped counts from when the programs were loaded.
        origin.fallback_runs = 0;
        self.origin = origin;
        self.held = held;
    }

    /// Pins that were held when counting began, and count as acquired since.
    pub(crate) fn held_at_begin(&self) -> u64 {
        self.held
    }

    /// Totals over all CPUs since [`Self::begin`].
    pub(crate) fn totals(&self) -> CpuCounters {
        let origin = bytemuck::bytes_of(&self.origin);
        let mut totals = CpuCounters::default();
        let words = bytemuck::bytes_of_mut(&mut totals).chunks_exact_mut(8);
        for (index, bytes) in words.enumerate() {
            let offset = index * 8;
            let total = (0..self.cpus)
                .map(|cpu| self.values.read(cpu * size_of::<CpuCounters>() + offset))
                // One counter may fall: only the sum over all CPUs has a meaning.
                .fold(0, u64::wrapping_add);
            let begun = origin[offset..].first_chunk().copied().unwrap_or_default();
            bytes.copy_from_slice(&total.wrapping_sub(u64::from_ne_bytes(begun)).to_ne_bytes());
        }
        totals
    }
}

/// Pins in the ledger, by the totals from when the first hook was attached; as a difference, which
/// a look at counters that move may have below zero.
fn held(totals: &CpuCounters) -> u64 {
    let unmatched = totals.unmatched.iter().sum::<u64>();
    let unbooked = totals.lost[Lost::TRUNCATED] + totals.lost[Lost::UNREADABLE];
    totals
        .pages_pinned
        .wrapping_add(unmatched)
        .wrapping_sub(totals.pages_released)
        .wrapping_sub(unbooked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_when_counting_begins_is_what_releases_have_not_taken() {
        let mut totals = CpuCounters {
            pages_pinned: 1_000,
            pages_released: 940,
            ..CpuCounters::default()
        };
        assert_eq!(held(&totals), 60);
        // Of the releases, 30 were of pins from before; of the pins, 10 are not in the ledger.
        totals.unmatched[0] = 20;
        totals.unmatched[7] = 10;
        totals.lost[Lost::UNREADABLE] = 10;
        assert_eq!(held(&totals), 80);
    }
}
