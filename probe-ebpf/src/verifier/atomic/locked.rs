//! Changes to words in map values that nobody else makes at the same time, for
//! kernels whose BPF has no compare-and-swap: under a lock of the word, which is
//! an entry in a hash map. Whoever finds it taken waits a little, because a
//! hypervisor may have stopped the CPU that has it, and then fails, as a
//! compare-and-swap does that came second: its caller tries again.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::bpf_get_smp_processor_id, macros::map, maps::HashMap,
};

use super::plain::load;
use crate::verifier::unknown::origin;

/// Words that can be locked at once: one a CPU and level of interrupt, or a task
/// that was preempted inside a probe.
const LOCKED: u32 = 4096;

/// By the word's distance from a place that does not move: the CPU that has it.
#[map]
static LOCKS: HashMap<u64, u32> = HashMap::with_max_entries(LOCKED, 0);

/// How often a lock is tried before the change counts as failed.
const TRIES: u32 = 256;

/// Takes a lock; 1 for success. The verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn lock(key: u64) -> u64 {
    // SAFETY: the helper has no precondition.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    for _ in 0..TRIES {
        if LOCKS.insert(key, cpu, u64::from(BPF_NOEXIST)).is_ok() {
            return 1;
        }
        // SAFETY: a number that another CPU may write meanwhile.
        if unsafe { LOCKS.get(key) } == Some(&cpu) {
            // Who has it is below us on this very CPU, and waits for our interrupt
            // to end.
            return 0;
        }
    }
    0
}

/// Changes `old` into `new`: whether `old` was there and nobody else was at it.
#[inline(always)]
pub(crate) fn swap(at: *mut u64, old: u64, new: u64) -> bool {
    // The verifier takes no address for a key, but a distance is a number.
    let key = (at as u64).wrapping_sub(origin());
    if lock(key) != 1 {
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
