//! Compare-and-swap, where BPF has it (Linux 5.12).

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

/// Changes `old` into `new`: whether `old` was there. A full barrier.
#[inline(always)]
pub(crate) fn swap(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: callers pass pointers into map values, aligned and alive.
    let (seen, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new)
    };
    seen == old
}
