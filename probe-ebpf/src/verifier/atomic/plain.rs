//! Those that every kernel's verifier takes.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

/// `*at += n`, result unused: a plain `lock add` that every kernel's verifier
/// takes.
#[inline(always)]
pub(crate) fn xadd(at: *mut u64, n: u64) {
    // SAFETY: callers pass pointers into map values, aligned and alive.
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
