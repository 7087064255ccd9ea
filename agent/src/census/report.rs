//! What the census says, as data.

use std::ops::Range;

use clap::ValueEnum;
use serde::Serialize;

use super::found::Folio;
use crate::kernel::sys::{huge_page_pages, page_bytes};

/// What the rows stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// The processes that map the memory.
    Process,
    /// The file that the memory belongs to.
    File,
    /// The memory cgroup that is charged for the memory.
    Memcg,
    /// What memory it is: anonymous, shared, of a file, huge pages of a pool.
    Kind,
    /// The size of a folio.
    Size,
    /// The NUMA node.
    Node,
    /// The zone of a node.
    Zone,
    /// The memory block, which can be taken offline as a whole.
    Block,
    /// The area for contiguous allocations.
    Cma,
}

/// Folios added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    pub(crate) folios: u64,
    pub(crate) pins: u64,
    pub(crate) bytes: u64,
    /// Of those, the memory that no process maps.
    pub(crate) unmapped_bytes: u64,
    /// And memory of which that is not known.
    pub(crate) mapping_unknown_bytes: u64,
    /// Memory that can be no huge page because a smaller folio in it is pinned: whole blocks of
    /// the size of one, 2 MiB where pages are of 4 KiB.
    pub(crate) spoiled_bytes: u64,
    /// The last block that was counted in those: folios come in the order of their frames.
    #[serde(skip)]
    spoiled_block: Option<u64>,
}

impl Sum {
    /// `pins`: of the folio, whose own number ends at 32 bits.
    pub(super) fn add(&mut self, folio: &Folio, pins: u64) {
        self.add_by(folio, pins, page_bytes());
    }

    fn add_by(&mut self, folio: &Folio, pins: u64, page_bytes: u64) {
        let bytes = u64::from(folio.pages) * page_bytes;
        self.folios += 1;
        self.pins += pins;
        self.bytes += bytes;
        match folio.is_unmapped {
            Some(true) => self.unmapped_bytes += bytes,
            Some(false) => {}
            None => self.mapping_unknown_bytes += bytes,
        }
        let frames = huge_page_pages(page_bytes);
        let block = folio.pfn / frames;
        if u64::from(folio.pages) < frames && self.spoiled_block != Some(block) {
            self.spoiled_block = Some(block);
            self.spoiled_bytes += frames * page_bytes;
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.folios += other.folios;
        self.pins += other.pins;
        self.bytes += other.bytes;
        self.unmapped_bytes += other.unmapped_bytes;
        self.mapping_unknown_bytes += other.mapping_unknown_bytes;
        self.spoiled_bytes += other.spoiled_bytes;
    }
}

/// A process that maps what is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    /// What it has open that can hold pins; absent where that is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) likely: Option<Vec<&'static str>>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Whom or what it stands for.
    pub(crate) name: String,
    /// Of a row by process: all that map the memory, which counts once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) processes: Vec<Task>,
    /// Of a node: what the kernel counts as pinned there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_pins: Option<i64>,
    #[serde(flatten)]
    pub(crate) sum: Sum,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) by: By,
    /// The frames that were asked for; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<Range<u64>>,
    #[serde(flatten)]
    pub(crate) sum: Sum,
    /// Folios that changed as often as they were looked at.
    pub(crate) unsettled_folios: u64,
    /// Folios whose pins this kernel does not tell.
    pub(crate) untold_folios: u64,
    /// What the kernel counts as pinned since boot, before the walk and after it; absent of a
    /// range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_pins: Option<[i64; 2]>,
    pub(crate) pages: u64,
    pub(crate) absent_pages: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) slices: u64,
    pub(crate) longest_slice_seconds: f64,
    pub(crate) rows: Vec<Row>,
    /// Rows that are not shown, and what they add up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<Other>,
    /// What it cannot tell, and the way out.
    pub(crate) notes: Vec<String>,
}

/// What is beyond the rows that are shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Other {
    pub(crate) rows: usize,
    #[serde(flatten)]
    pub(crate) sum: Sum,
}

impl Report {
    /// Pins found beyond what the kernel counts; 0 if they lie between its two counts.
    pub(crate) fn difference(&self) -> Option<i64> {
        let [before, after] = self.kernel_pins?;
        let (low, high) = (before.min(after), before.max(after));
        let pins = self.sum.pins.cast_signed();
        Some(pins - pins.clamp(low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::{Folio, Sum, huge_page_pages};

    fn folio(pfn: u64, pages: u64) -> Folio {
        Folio {
            pfn,
            pages: pages as u32,
            pins: 1,
            mapping: 0,
            memcg: 0,
            mappers: 0,
            is_unmapped: Some(false),
            is_hugetlb: false,
        }
    }

    #[test]
    fn a_block_is_spoiled_once_however_many_small_pins_are_in_it() {
        for page_bytes in [4 << 10, 16 << 10, 64 << 10] {
            check(page_bytes);
        }
    }

    fn check(page_bytes: u64) {
        let frames = huge_page_pages(page_bytes);
        let mut sum = Sum::default();
        let mut pages_so_far = 0;
        for (pfn, pages, blocks) in [
            (0, 1, 1),
            (frames / 2, 16, 1),
            (frames - 1, 1, 1),
            (frames, frames, 1),
            (2 * frames, 2 * frames, 1),
            (4 * frames + 4, 4, 2),
            (9 * frames, 1, 3),
        ] {
            sum.add_by(&folio(pfn, pages), 1, page_bytes);
            pages_so_far += pages;
            assert_eq!(sum.bytes, pages_so_far * page_bytes, "{pfn}");
            assert_eq!(sum.spoiled_bytes, blocks * frames * page_bytes, "{pfn}");
        }
    }
}
