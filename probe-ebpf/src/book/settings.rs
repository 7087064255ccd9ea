//! What the agent tells the running probes, and what they tell each other: the sampling level,
//! which they raise when the ledger is full, and what they have seen once and for all.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use probe_abi::{STRATA, Settings, page_high};

use crate::verifier::atomic::{load, swap};

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Key of the page whose pins do not count; 0, the key of no folio, if all do.
#[inline(always)]
pub(crate) fn zero_page() -> u64 {
    // SAFETY: a map value, aligned and alive.
    SETTINGS
        .get_ptr(0)
        .map_or(0, |it| load(unsafe { &raw const (*it).zero_page }))
}

/// The first stratum that the ledger keeps.
#[inline(always)]
pub(crate) fn level() -> u64 {
    SETTINGS.get_ptr(0).map_or(0, level_of)
}

/// The same; and the part of a page's address that its key leaves out is kept.
#[inline(always)]
pub(crate) fn level_and_learn_high(page: u64) -> u64 {
    let Some(settings) = SETTINGS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as above.
    let high = unsafe { &raw mut (*settings).page_high };
    if load(high) == 0 {
        // SAFETY: as above; every page gives the same bits.
        unsafe { high.write_volatile(page_high(page)) };
    }
    level_of(settings)
}

#[inline(always)]
fn level_of(settings: *const Settings) -> u64 {
    // SAFETY: as above.
    load(unsafe { &raw const (*settings).level })
}

/// `FOLL_LONGTERM`, on kernels whose BTF does not have it; 0 until it is known.
#[inline(always)]
pub(crate) fn longterm_flag() -> u32 {
    SETTINGS.get_ptr(0).map_or(0, |it| {
        // SAFETY: as above.
        load(unsafe { &raw const (*it).longterm_flag }) as u32
    })
}

/// Whether an io_uring may hold what another one pinned.
#[inline(always)]
pub(crate) fn buffers_were_cloned() -> bool {
    // SAFETY: as above.
    SETTINGS
        .get_ptr(0)
        .is_some_and(|it| load(unsafe { &raw const (*it).buffers_cloned }) != 0)
}

/// From now on one may.
#[inline(always)]
pub(crate) fn buffers_are_cloned() {
    if let Some(settings) = SETTINGS.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe { (&raw mut (*settings).buffers_cloned).write_volatile(Settings::CLONED) };
    }
}

/// Passes over half of what is kept at `level`, unless another CPU just did.
/// False where there is nothing left to halve.
#[inline(always)]
pub(crate) fn raise(level: u64) -> bool {
    let Some(settings) = SETTINGS.get_ptr_mut(0) else {
        return false;
    };
    if level + 1 >= STRATA as u64 {
        return false;
    }
    // SAFETY: as above.
    swap(unsafe { &raw mut (*settings).level }, level, level + 1);
    true
}

/// Address of the `struct page` of a key; 0 before any folio was entered.
#[inline(always)]
pub(crate) fn page_of(key: u64) -> u64 {
    // SAFETY: as above.
    let high = SETTINGS
        .get_ptr(0)
        .map_or(0, |it| load(unsafe { &raw const (*it).page_high }));
    if high == 0 { 0 } else { high | key << 6 }
}
