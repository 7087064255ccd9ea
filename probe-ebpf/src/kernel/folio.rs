//! Reading `struct page` and `struct folio` at the offsets that BTF gave.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use probe_abi::ABSENT;

use crate::kernel::{
    layout::layout,
    read::{read_kernel, read_u32},
};

/// Words of `struct page` read at once: one helper call instead of five.
const PAGE_WORDS: usize = 8;

/// Smallest reference count of a small folio that the kernel takes for pinned
/// (`GUP_PIN_COUNTING_BIAS`, Linux 5.6).
const PIN_BIAS: u32 = 1024;

/// A count that could not be had. A sentinel, where `Option` would leave the
/// number undefined: the verifier minds what happens to such a register.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// Tag bit of `page.mapping`: anonymous.
pub(crate) const MAPPING_ANON: u64 = 1;

/// A copy of one `struct page`.
#[derive(Clone, Copy)]
pub(crate) struct Page([u64; PAGE_WORDS]);

impl Page {
    /// 64 bits at a byte offset. Offsets come from the layout, are constants to
    /// the verifier, and are checked by the agent to lie inside the page.
    #[inline(always)]
    fn u64_at(&self, offset: u32) -> u64 {
        // SAFETY: in bounds, see above; the buffer is 8-byte aligned.
        unsafe {
            self.0
                .as_ptr()
                .cast::<u8>()
                .add(offset as usize & 56)
                .cast::<u64>()
                .read()
        }
    }

    #[inline(always)]
    fn u32_at(&self, offset: u32) -> u32 {
        // SAFETY: as above, 4-byte aligned.
        unsafe {
            self.0
                .as_ptr()
                .cast::<u8>()
                .add(offset as usize & 60)
                .cast::<u32>()
                .read()
        }
    }

    #[inline(always)]
    pub(crate) fn mapping(&self) -> u64 {
        self.u64_at(layout!(mapping))
    }

    #[inline(always)]
    pub(crate) fn flags(&self) -> u64 {
        self.u64_at(layout!(flags))
    }

    #[inline(always)]
    pub(crate) fn index(&self) -> u64 {
        self.u64_at(layout!(index))
    }

    #[inline(always)]
    pub(crate) fn refcount(&self) -> u32 {
        self.u32_at(layout!(refcount))
    }

    /// Which memory cgroup is charged, as the kernel keeps it; 0 without any.
    #[inline(always)]
    pub(crate) fn memcg(&self) -> u64 {
        if layout!(memcg) == ABSENT {
            return 0;
        }
        self.u64_at(layout!(memcg))
    }

    /// The word that is a mapcount or a type.
    #[inline(always)]
    pub(crate) fn page_type(&self) -> u32 {
        self.u32_at(layout!(mapcount))
    }

    #[inline(always)]
    pub(crate) fn flag(&self, bit: u32) -> bool {
        bit < 64 && self.u64_at(layout!(flags)) >> bit & 1 == 1
    }

    #[inline(always)]
    pub(crate) fn is_large_head(&self) -> bool {
        self.flag(layout!(pg_head))
    }

    /// Mapcount of a small folio. A typed page (slab, page table) reads as 0.
    #[inline(always)]
    pub(crate) fn small_mapcount(&self) -> u32 {
        let raw = self.u32_at(layout!(mapcount)).wrapping_add(1);
        if raw as i32 >= 0 { raw } else { 0 }
    }
}

/// The folio that a page belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Folio {
    /// Address of its head page.
    pub(crate) address: u64,
    /// Copy of its head page.
    pub(crate) head: Page,
    /// Number of its pages.
    pub(crate) pages: u32,
}

impl Folio {
    /// The folio of any page, `None` where memory could not be read.
    ///
    /// The copy of the page is made in place and once: a probe's stack is short,
    /// and clearing 64 bytes costs more than reading them.
    #[inline(always)]
    pub(crate) fn of(page: u64) -> Option<Self> {
        let mut folio = MaybeUninit::<Self>::uninit();
        let at = folio.as_mut_ptr();
        // SAFETY: every field is written before it is read; the copy of the page
        // by the helper, or the function ends.
        let folio = unsafe {
            (&raw mut (*at).address).write(page);
            (&raw mut (*at).pages).write(1);
            copy_page(&raw mut (*at).head, page)?;
            folio.assume_init_mut()
        };
        let compound = folio.head.u64_at(layout!(compound));
        if compound & 1 == 1 {
            // A tail page's word leads to its head: a pointer up to Linux 7.0,
            // a mask over the tail's own address from 7.1 on.
            folio.address = if layout!(compound_is_mask) == 1 {
                page & compound
            } else {
                compound - 1
            };
            copy_page(&raw mut folio.head, folio.address)?;
        } else if layout!(compound_is_mask) == 0
            && folio.head.is_large_head()
            && page & (page_bytes() - 1) == 0
        {
            // With the vmemmap of a hugetlb folio optimised away, some of its
            // tail pages alias the head; the page after such a one is a true
            // tail (`page_fixed_fake_head()`).
            let next: u64 = read_kernel(page + u64::from(layout!(page_size) + layout!(compound)))?;
            if next & 1 == 1 {
                folio.address = next - 1;
            }
        }
        if folio.head.is_large_head() {
            folio.pages = read_kernel(folio.address + u64::from(layout!(pages)))?;
        }
        Some(*folio)
    }

    /// Mapcount of the whole folio, or [`UNKNOWN`] where this kernel keeps none
    /// that a single read gives.
    #[inline(always)]
    pub(crate) fn mapcount(&self) -> u32 {
        if !self.head.is_large_head() {
            return self.head.small_mapcount();
        }
        let offset = layout!(large_mapcount);
        if offset == ABSENT {
            return UNKNOWN;
        }
        read_u32(self.address + u64::from(offset)).wrapping_add(1)
    }

    /// Whether the folio is large enough to have a pin count of its own.
    #[inline(always)]
    pub(crate) fn counts_pins(&self) -> bool {
        self.head.is_large_head() && self.pages >> (layout!(pincount_min_order) & 31) != 0
    }

    /// That pin count.
    #[inline(always)]
    pub(crate) fn pincount(&self) -> u32 {
        read_u32(self.address + u64::from(layout!(pincount)))
    }

    /// `folio_maybe_dma_pinned()`, for the choice of what to send only; the
    /// verdict itself is user space's.
    #[inline(always)]
    pub(crate) fn maybe_pinned(&self) -> bool {
        if self.counts_pins() {
            self.pincount() > 0
        } else {
            self.head.refcount() >= PIN_BIAS
        }
    }

    #[inline(always)]
    pub(crate) fn is_anon(&self) -> bool {
        self.head.mapping() & MAPPING_ANON == MAPPING_ANON
    }
}

/// Bytes of a page of memory.
#[inline(always)]
pub(crate) fn page_bytes() -> u64 {
    1 << (layout!(page_shift) & 31)
}

#[inline(always)]
fn copy_page(to: *mut Page, page: u64) -> Option<()> {
    // SAFETY: the buffer is as long as said; the helper checks the address and
    // fails instead of faulting.
    let failed = unsafe {
        bpf_probe_read_kernel(to.cast(), size_of::<Page>() as u32, page as *const c_void)
    };
    (failed == 0).then_some(())
}
