//! What a workload counted of its own doing; it never reads what anybody else counted.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Instant;

use serde::Serialize;

/// The workload's own book. Zero means "did none of it", never "does not know".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Pages that the kernel was made to pin (`FOLL_PIN`), each pin counted.
    pub(crate) pages_pinned: u64,
    /// Pages whose pin was released.
    pub(crate) pages_released: u64,
    /// Pages that the kernel was made to take an ordinary reference on (`FOLL_GET`).
    pub(crate) pages_referenced: u64,
    /// Pages whose ordinary reference was released.
    pub(crate) pages_unreferenced: u64,
    /// System calls that pinned or referenced something.
    pub(crate) calls: u64,
    /// Direct reads that arrived in full.
    pub(crate) reads: u64,
    /// Bytes that direct reads brought.
    pub(crate) bytes_read: u64,
    /// Pages stored to through a mapping.
    pub(crate) pages_dirtied: u64,
    /// `msync` or `fsync` calls that came back.
    pub(crate) syncs: u64,
    /// Folios that were pinned and dirty before a sync and clean after it: each
    /// is at least one `mkclean` walk, and exactly one where nobody else syncs.
    pub(crate) walks_pinned: u64,
    /// The same for folios that were only referenced at that time.
    pub(crate) walks_referenced: u64,
    /// The same for folios that this process held nothing on at that time.
    pub(crate) walks_not_pinned: u64,
    /// Ranges unmapped, thrown away or replaced.
    pub(crate) zaps: u64,
    /// Operations that were timed by themselves, and the nanoseconds that they took together.
    pub(crate) timed: u64,
    pub(crate) timed_nanoseconds: u64,
}

impl Counts {
    /// Books `operations` that began at `start` and are just over.
    pub(crate) fn time(&mut self, operations: u64, start: Instant) {
        let took = start.elapsed().as_nanos();
        self.timed += operations;
        self.timed_nanoseconds += u64::try_from(took).unwrap_or(u64::MAX);
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.pages_pinned += other.pages_pinned;
        self.pages_released += other.pages_released;
        self.pages_referenced += other.pages_referenced;
        self.pages_unreferenced += other.pages_unreferenced;
        self.calls += other.calls;
        self.reads += other.reads;
        self.bytes_read += other.bytes_read;
        self.pages_dirtied += other.pages_dirtied;
        self.syncs += other.syncs;
        self.walks_pinned += other.walks_pinned;
        self.walks_referenced += other.walks_referenced;
        self.walks_not_pinned += other.walks_not_pinned;
        self.zaps += other.zaps;
        self.timed += other.timed;
        self.timed_nanoseconds += other.timed_nanoseconds;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut total = Self::default();
        for one in all {
            total += one;
        }
        total
    }
}
