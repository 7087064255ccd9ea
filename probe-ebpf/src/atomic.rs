//! Atomic changes to words in map values.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};

/// Compare-and-swap: whether `old` was there. A full barrier.
#[inline(always)]
pub(crate) fn swap(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: callers pass pointers into map values, aligned and alive.
    let (seen, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new)
    };
    seen == old
}

/// `*at += n`, result unused: a plain `lock add` that every kernel's verifier
/// takes.
#[inline(always)]
pub(crate) fn xadd(at: *mut u64, n: u64) {
    // SAFETY: as above.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(at, n) };
}

/// The same for half a word.
#[inline(always)]
pub(crate) fn xadd32(at: *mut u32, n: u32) {
    // SAFETY: as above.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(at, n) };
}

/// A word that others change meanwhile; 64-bit loads do not tear.
#[inline(always)]
pub(crate) fn load(at: *const u64) -> u64 {
    // SAFETY: as above.
    unsafe { at.read_volatile() }
}
