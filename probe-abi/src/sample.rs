//! One mkclean walk that needs judging.

/// What the probes saw of one `folio_mkclean()` / `page_mkclean()` call.
///
/// "Entry" and "exit" are the two moments at which the probes could look; which
/// read of which algorithm each stands for is the estimators' business.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct MkcleanSample {
    /// `bpf_ktime_get_ns` at the exit.
    pub at_ns: u64,
    /// Nanoseconds between entry and exit.
    pub walk_ns: u64,
    /// Address of the folio (the page, on kernels without folios).
    pub folio: u64,
    /// `folio->mapping`, tag bits included.
    pub mapping: u64,
    /// `folio->index`: offset in the file, in pages.
    pub index: u64,
    /// `mapping->host->i_ino`.
    pub inode: u64,
    /// `mapping->host->i_sb->s_dev`, the kernel's encoding.
    pub device: u32,
    /// Thread that walked.
    pub tid: u32,
    /// Mapcount at the entry.
    pub mapcount_entry: u32,
    /// Mapcount at the exit.
    pub mapcount_exit: u32,
    /// Pins in the ledger at the entry.
    pub pins_entry: u32,
    /// Pins in the ledger at the exit.
    pub pins_exit: u32,
    /// `FOLL_GET` references in the ledger at the entry.
    pub gets_entry: u32,
    /// `FOLL_GET` references in the ledger at the exit.
    pub gets_exit: u32,
    /// True returns of `page_vma_mapped_walk()` during the walk.
    pub ptes_found: u32,
    /// Mapcount decrements inside a zap during the walk.
    pub zaps: u32,
    /// GUPs of this folio during the walk.
    pub gups: u32,
    /// GUPs of this folio since its book was opened, at the entry; wraps. A
    /// change between two samples is a GUP between them.
    pub gups_entry: u32,
    /// What mkclean returned: entries it cleaned.
    pub cleaned: u32,
    /// `_refcount` at the exit.
    pub refcount: u32,
    /// Pin count of a large folio at the exit; meaningless without [`SampleFlags::LARGE`].
    pub pincount: u32,
    /// Pages of the folio.
    pub pages: u32,
    /// [`SampleFlags`].
    pub flags: u32,
    /// When the ledger began to remember the folio, see [`crate::opened_at`]; 0 where it
    /// does not, or that is not known.
    pub opened: u32,
}

const _: () = assert!(size_of::<MkcleanSample>() == 120 && align_of::<MkcleanSample>() == 8);

/// Bits of [`MkcleanSample::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleFlags;

impl SampleFlags {
    /// The folio has a pin count of its own.
    pub const LARGE: u32 = 1 << 0;
    /// The folio was GUPed since its last settled walk, or is pinned now.
    pub const GUPED: u32 = 1 << 1;
    /// `PG_private` or its like: one reference belongs to the file system.
    pub const PRIVATE: u32 = 1 << 2;
    /// `PG_writeback` at the exit.
    pub const WRITEBACK: u32 = 1 << 3;
    /// The mapcounts could be read.
    pub const MAPCOUNT_KNOWN: u32 = 1 << 4;
    /// The walk's matches could be counted (`page_vma_mapped_walk` is hooked).
    pub const PTES_KNOWN: u32 = 1 << 5;
    /// Mapcount decrements could be seen (the rmap removal is hooked).
    pub const ZAPS_KNOWN: u32 = 1 << 6;
    /// The reference count could be read, and the pin count where there is one.
    pub const TRUTH_KNOWN: u32 = 1 << 7;
    /// This is an anonymous folio.
    pub const ANON: u32 = 1 << 8;
    /// In the swap cache or page cache: the cache holds one reference a page.
    pub const CACHED: u32 = 1 << 9;
    /// The settled walk that closes the folio's book until it is GUPed again.
    pub const SETTLES: u32 = 1 << 10;
}

impl MkcleanSample {
    /// Whether a [`SampleFlags`] bit is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}
