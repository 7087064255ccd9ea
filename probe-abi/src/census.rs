//! The census: what a walk over every `struct page` is told, how far it came, and what it found.
//!
//! All of it lies in mappable arrays; the agent writes the question, runs the program, and reads
//! on. A run ends by itself before it has a CPU for long, or when there is no room for what it
//! finds: it then says where to go on.

use crate::Folio;

/// Folios that one run reports, at most.
pub const CENSUS_FOUND: usize = 4096;

/// Pages whose `struct page`s are read at once; a power of two.
pub const CENSUS_BLOCK: u64 = 64;

/// Sections that one run looks through for the place of the `struct page`s: no root has fewer, a page
/// of 4 KiB whose sections have 32 bytes.
pub const CENSUS_SECTIONS: u64 = 128;

/// The one value of the array `CENSUS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Census {
    /// Address that the `struct page` of frame 0 has, whether there is such a page or not.
    pub base: u64,
    /// Address of `mem_section`, from which the base is learnt.
    pub sections: u64,
    /// `sizeof(struct mem_section)`.
    pub section_bytes: u64,
    /// `mem_section.section_mem_map`.
    pub section_map: u64,
    /// `page.compound_dtor` of a folio's second page; all ones where the kernel has none.
    pub dtor: u64,
    /// The frame to look at next, and the one behind the last.
    pub next: u64,
    /// As said.
    pub end: u64,
    /// Pages between two places where memory can begin to be absent; a power of two.
    pub stride: u64,
    /// 1 where the first page may be in the middle of a folio, which then counts.
    pub first: u64,
    /// How long the run may take, nanoseconds; the program makes it the time of its end.
    pub until_ns: u64,
    /// How long it had the CPU.
    pub took_ns: u64,
    /// Folios found.
    pub found: u64,
    /// Pages that were looked at, those stepped over with their folio included.
    pub looked_at: u64,
    /// Pages that are not there.
    pub absent: u64,
    /// The program's own: pages of a block that need a closer look.
    pub mask: u64,
    /// The program's own: the first frame of that block.
    pub block: u64,
}

impl Census {
    /// What the program is to do, its first argument: learn the base from the sections of one
    /// root (second argument).
    pub const LEARN_BASE: u64 = 1;
    /// Walk.
    pub const WALK: u64 = 2;
}

const _: () = assert!(size_of::<Census>() == 128);

/// A folio that may be pinned; an entry of the array `CENSUS_FOUND`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Counted {
    /// As the ledger is held against it.
    pub folio: Folio,
    /// The frame of its first page.
    pub pfn: u64,
    /// `memcg_data` of its first page; 0 without any.
    pub memcg: u64,
    /// The word of its first page that is a mapcount or a type.
    pub page_type: u32,
    /// `compound_dtor`, where the kernel has such.
    pub dtor: u32,
}

const _: () = assert!(size_of::<Counted>() == 72);
