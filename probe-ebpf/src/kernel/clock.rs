//! The time.

use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, bpf_ktime_get_ns};

/// Nanoseconds since boot, those asleep included: for how long something is held.
#[inline(always)]
pub(crate) fn since_boot() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Nanoseconds that the machine was awake: between two moments of one walk.
#[inline(always)]
pub(crate) fn awake() -> u64 {
    // SAFETY: as above.
    unsafe { bpf_ktime_get_ns() }
}
