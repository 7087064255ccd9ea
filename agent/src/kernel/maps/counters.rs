//! The probes' counters, mapped.

use aya::maps::MapData;
use probe_abi::CpuCounters;

use super::mapped::Mapped;
use crate::error::AgentError;

/// One value for each CPU.
pub(crate) struct Counters {
    values: Mapped,
    cpus: usize,
    /// What they held when counting began.
    origin: CpuCounters,
}

impl Counters {
    pub(crate) fn map(data: &MapData, cpus: usize) -> Result<Self, AgentError> {
        Ok(Self {
            values: Mapped::new(data, "COUNTERS", cpus * size_of::<CpuCounters>())?,
            cpus,
            origin: CpuCounters::default(),
        })
    }

    /// Forgets what was counted so far: the self-test's own pins, and what fell
    /// between the first hook and the last.
    pub(crate) fn begin(&mut self) {
        self.origin = CpuCounters::default();
        self.origin = CpuCounters {
            // What the kernel skipped counts from when the programs were loaded.
            fallback_runs: 0,
            ..self.totals()
        };
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
