//! Changes to words in map values that nobody else makes at the same time, for
//! kernels whose BPF has no compare-and-swap: under a lock of the word, which is
//! an entry in a hash map. Whoever finds it taken does not wait: it fails, as a
//! compare-and-swap does that came second, and its caller tries again.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::HashMap};

use super::load;
use crate::unknown::origin;

/// Words that can be locked at once: one a CPU and level of interrupt, or a task
/// that was preempted inside a probe.
const LOCKED: u32 = 4096;

/// By the word's distance from a place that does not move.
#[map]
static LOCKS: HashMap<u64, u32> = HashMap::with_max_entries(LOCKED, 0);

/// Changes `old` into `new`: whether `old` was there and nobody else was at it.
#[inline(always)]
pub(crate) fn swap(at: *mut u64, old: u64, new: u64) -> bool {
    // The verifier takes no address for a key, but a distance is a number.
    let key = (at as u64).wrapping_sub(origin());
    if LOCKS.insert(key, 0, u64::from(BPF_NOEXIST)).is_err() {
        return false;
    }
    let there = load(at) == old;
    if there {
        // SAFETY: callers pass pointers into map values, aligned and alive.
        unsafe { at.write_volatile(new) };
    }
    // It is there: we put it there.
    let _ = LOCKS.remove(key);
    there
}
