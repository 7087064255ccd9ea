//! What the agent and the walk tell each other, in maps.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use probe_abi::{CENSUS_FOUND as FOUND, Census, Counted};

/// Bytes of a `struct page`, which the agent checks.
pub(super) const PAGE_BYTES: u64 = 64;

/// Half of what a pin of a small folio adds to its reference count: fewer are none.
pub(super) const FEW: u32 = 512;

/// In the place of a block: there is no room for what was found.
pub(super) const FULL: u64 = u64::MAX;

/// Question and progress; the agent maps it.
#[map]
static CENSUS: Array<Census> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What was found; the agent maps it.
#[map]
static CENSUS_FOUND: Array<Counted> = Array::with_max_entries(FOUND as u32, BPF_F_MMAPABLE);

#[inline(always)]
pub(super) fn state() -> Option<&'static mut Census> {
    let state = CENSUS.get_ptr_mut(0)?;
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    Some(unsafe { &mut *state })
}

/// The place for what is found next; `None` if there is no room.
#[inline(always)]
pub(super) fn place(index: u64) -> Option<&'static mut Counted> {
    let counted = CENSUS_FOUND.get_ptr_mut(index as u32)?;
    // SAFETY: as above.
    Some(unsafe { &mut *counted })
}
