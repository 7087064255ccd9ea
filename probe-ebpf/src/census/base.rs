//! Where the `struct page`s are. Each section of memory says where frame 0 would have its
//! own, if that section's were part of one array: which they are where all sections say the
//! same (`CONFIG_SPARSEMEM_VMEMMAP`).

use probe_abi::CENSUS_SECTIONS;

use super::state::state;
use crate::{kernel::read::read_kernel, verifier::repeat::each};

/// A section that has `struct page`s (`SECTION_HAS_MEM_MAP`).
const HAS_PAGES: u64 = 1 << 1;

/// The low bits of the word are flags; the array begins at a page.
const FLAGS: u64 = 4095;

/// The root of an array of arrays (`CONFIG_SPARSEMEM_EXTREME`).
#[inline(always)]
pub(super) fn learn(root: u64) {
    let Some(state) = state() else { return };
    state.block = 0;
    let Some(roots) = read_kernel::<u64>(state.sections) else {
        return;
    };
    let Some(sections) = read_kernel::<u64>(roots.wrapping_add(root * 8)) else {
        return;
    };
    if sections != 0 {
        state.block = sections;
        each(CENSUS_SECTIONS as u32, section);
    }
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn section(index: u64) -> i64 {
    let Some(state) = state() else { return 1 };
    let at = state
        .block
        .wrapping_add(index.wrapping_mul(state.section_bytes));
    let Some(map) = read_kernel::<u64>(at.wrapping_add(state.section_map)) else {
        return 1;
    };
    if map & HAS_PAGES == 0 {
        return 0;
    }
    let base = map & !FLAGS;
    // Two that differ are no array: all ones, which is no address.
    state.base = if state.base == 0 || state.base == base {
        base
    } else {
        u64::MAX
    };
    0
}
