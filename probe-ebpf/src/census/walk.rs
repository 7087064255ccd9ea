//! The walk. `struct page`s are looked at a block at a time, and most need no more than a look
//! at two words: what is no head of a large folio and has few references holds no pin.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::map, maps::Array};
use probe_abi::{CENSUS_BLOCK, Census};

use super::{
    candidate::candidate,
    state::{FEW, FULL, PAGE_BYTES, state},
};
use crate::{
    kernel::{
        clock,
        layout::{at, layout},
        read::read_kernel,
        typed::Typed,
    },
    verifier::repeat::{MOST, each},
};

const BLOCK_WORDS: usize = (CENSUS_BLOCK * PAGE_BYTES / 8) as usize;

/// The copy.
#[map]
static CENSUS_PAGES: Array<[u64; BLOCK_WORDS]> = Array::with_max_entries(1, 0);

#[inline(always)]
pub(super) fn walk() {
    let Some(state) = state() else { return };
    let began = clock::awake();
    state.until_ns = state.until_ns.wrapping_add(began);
    each(MOST, block);
    state.took_ns = clock::awake().wrapping_sub(began);
}

/// Looks at a block, and says whether it was the last.
#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn block(_index: u64) -> i64 {
    let Some(state) = state() else { return 1 };
    if state.next >= state.end || clock::awake() >= state.until_ns {
        return 1;
    }
    let from = state.next;
    let first = from & !(CENSUS_BLOCK - 1);
    let behind = (first + CENSUS_BLOCK).min(state.end);
    state.block = first;
    state.mask = 0;
    if look(state, first).is_none() {
        // Memory is there or absent in pieces of a stride.
        let behind = ((from | state.stride.wrapping_sub(1)) + 1).min(state.end);
        state.absent += behind - from;
        state.next = behind;
        return 0;
    }
    // The first one may be a tail, whose head is not in the range.
    state.mask |= state.first << (from & 63);
    state.mask &= u64::MAX << (from & 63);
    state.mask &= u64::MAX >> ((first + CENSUS_BLOCK - behind) & 63);
    state.next = behind;
    if state.mask != 0 {
        each(CENSUS_BLOCK as u32, candidate);
    }
    state.first = 0;
    state.looked_at += state.next.min(state.end).wrapping_sub(from);
    i64::from(state.block == FULL)
}

/// Which pages of a block need a closer look, into the mask; `None` where it cannot be read.
#[inline(always)]
fn look(state: &mut Census, first: u64) -> Option<()> {
    let from = state.base.wrapping_add(first * PAGE_BYTES);
    if layout!(page_type) == 0 {
        by_copy(state, from)
    } else {
        by_loads(state, from)
    }
}

/// Whether a page needs a closer look.
#[inline(always)]
fn note(state: &mut Census, page: u64) {
    // In memory, where the verifier does not follow it.
    // SAFETY: a field of the map value.
    unsafe {
        let mask = &raw mut state.mask;
        mask.write_volatile(mask.read_volatile() | 1 << page);
    }
}

/// Where any address can be read by a load. What is not there reads as 0, so that the block is
/// tried first: it is one page of memory, all of it there or nothing.
#[inline(always)]
fn by_loads(state: &mut Census, from: u64) -> Option<()> {
    read_kernel::<u64>(from)?;
    let head = 1_u64 << (layout!(pg_head) & 63);
    let kind = layout!(page_type);
    for page in 0..CENSUS_BLOCK {
        let it = Typed::as_type(from.wrapping_add(page * PAGE_BYTES), kind);
        let references: u32 = it.read(at!(refcount));
        // Neither free memory nor a tail has any.
        if references != 0 && (references >= FEW || it.read::<u64, _>(at!(flags)) & head != 0) {
            note(state, page);
        }
    }
    Some(())
}

/// Elsewhere by a copy of the whole block.
#[inline(always)]
fn by_copy(state: &mut Census, from: u64) -> Option<()> {
    let pages = CENSUS_PAGES.get_ptr_mut(0)?.cast::<u8>();
    // SAFETY: the buffer is as long as said; the helper checks the address and fails
    // instead of faulting.
    let failed = unsafe {
        bpf_probe_read_kernel(
            pages.cast(),
            (BLOCK_WORDS * 8) as u32,
            from as *const c_void,
        )
    };
    if failed != 0 {
        return None;
    }
    let head = 1_u64 << (layout!(pg_head) & 63);
    let (flags, references) = (
        layout!(flags) as usize & 56,
        layout!(refcount) as usize & 60,
    );
    // SAFETY: both stay within a page of the copy, of which there are as many as rounds.
    let (flags, references) = unsafe { (pages.add(flags), pages.add(references)) };
    for page in 0..CENSUS_BLOCK {
        let at = (page * PAGE_BYTES) as usize;
        // SAFETY: as above.
        let (flags, references) = unsafe {
            (
                flags.add(at).cast::<u64>().read_volatile(),
                references.add(at).cast::<u32>().read_volatile(),
            )
        };
        if references != 0 && (references >= FEW || flags & head != 0) {
            note(state, page);
        }
    }
    Some(())
}
