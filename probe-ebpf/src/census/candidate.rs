//! A closer look at one page of a block: its folio, which is reported if it may be pinned and
//! stepped over in any case.

use probe_abi::{ABSENT, CENSUS_BLOCK, Census, folio_key};

use super::state::{FEW, FULL, PAGE_BYTES, place, state};
use crate::{
    answer::folios,
    book::settings,
    kernel::{
        folio::{Folio, UNKNOWN},
        read::read_kernel,
    },
};

/// Larger than any folio: what says so was read while it changed.
const IMPOSSIBLE: u32 = 1 << 24;

/// Looks at the first page of the mask, and takes it off; 1 when none is left.
#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
pub(super) extern "C" fn candidate(_index: u64) -> i64 {
    let Some(state) = state() else { return 1 };
    if state.mask == 0 {
        return 1;
    }
    let bit = u64::from(state.mask.trailing_zeros());
    state.mask &= state.mask.wrapping_sub(1);
    let pfn = state.block.wrapping_add(bit);
    let page = state.base.wrapping_add(pfn * PAGE_BYTES);
    let Some(folio) = Folio::of(page) else {
        return 0;
    };
    let head = folio.address.wrapping_sub(state.base) / PAGE_BYTES;
    // A tail counts only where the range begins in the middle of its folio. Any other was
    // stepped over, or looks like a head and is none.
    if folio.address != page && state.first == 0 {
        return 0;
    }
    let pages = u64::from(folio.pages);
    if folio.pages >= IMPOSSIBLE || !is_aligned(head, pages) {
        return 0;
    }
    if may_be_pinned(&folio) && report(state, &folio, head).is_none() {
        state.next = pfn;
        state.mask = 0;
        state.block = FULL;
        return 1;
    }
    let behind = head + pages;
    if behind >= state.block + CENSUS_BLOCK {
        state.mask = 0;
        if behind > state.next {
            state.next = behind;
        }
    } else if behind > pfn {
        state.mask &= u64::MAX << (behind & 63);
    }
    0
}

/// Whatever has more pages than one lies at a multiple of them.
#[inline(always)]
fn is_aligned(head: u64, pages: u64) -> bool {
    pages != 0 && head & (pages - 1) == 0 && pages & (pages - 1) == 0
}

#[inline(always)]
fn may_be_pinned(folio: &Folio) -> bool {
    if folio.counts_pins() {
        return folio.pincount() != 0;
    }
    let (references, mapped) = (folio.head.refcount(), folio.mapcount());
    // Where the mapcount is not known, the agent says that it cannot tell.
    let mapped = if mapped == UNKNOWN { 0 } else { mapped };
    // All ones is of memory that is not there.
    references as i32 > 0 && references.saturating_sub(mapped) >= FEW
}

/// `None` if there is no room.
#[inline(always)]
fn report(state: &mut Census, folio: &Folio, head: u64) -> Option<()> {
    let counted = place(state.found)?;
    settings::level_and_learn_high(folio.address);
    counted.folio.key = folio_key(folio.address);
    folios::tell(&mut counted.folio, folio);
    counted.pfn = head;
    counted.memcg = folio.head.memcg();
    counted.page_type = folio.head.page_type();
    counted.dtor = 0;
    if state.dtor != u64::from(ABSENT) && folio.head.is_large_head() {
        let second = folio.address + PAGE_BYTES;
        counted.dtor = u32::from(read_kernel::<u8>(second + state.dtor).unwrap_or(0));
    }
    state.found += 1;
    Some(())
}
