//! What a release's program was kept from, its second program makes up for.
//!
//! The kernel skips an fentry program that is at work on the same CPU already: a
//! completion interrupt came in on top of it, or another task (`prog->active`,
//! Linux 5.12, commit ca06f55b9002). So there are two, and the first leaves a mark
//! on the CPU while it is at work. A release that comes upon the mark of its own
//! function came in on top, and the first did not run for it.
//!
//! The few instructions between the kernel's own mark and ours remain: what falls
//! into them is counted as `hook_missed`.

use core::mem::offset_of;

use probe_abi::{CpuCounters, RELEASE_FUNCTIONS};

use crate::counters;

/// Runs the first program of a function, with the CPU marked.
///
/// Before Linux 5.12, where the `baseline` flavour runs, nothing is skipped.
#[inline(always)]
pub(crate) fn at_work(function: usize, program: impl FnOnce()) {
    let Some(mark) = mark(function).filter(|_| cfg!(not(feature = "baseline"))) else {
        return program();
    };
    // SAFETY: a map value, which only this CPU changes; what comes in on top ends
    // before this goes on.
    unsafe { mark.write_volatile(1) };
    program();
    // SAFETY: as above.
    unsafe { mark.write_volatile(0) };
}

/// Runs the second one, if the first was kept from it.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn make_up(function: usize, program: impl FnOnce()) {
    // SAFETY: as above.
    if mark(function).is_some_and(|it| unsafe { it.read_volatile() } == 1) {
        counters::add(1, offset_of!(CpuCounters, runs_made_up));
        program();
    }
}

#[inline(always)]
fn mark(function: usize) -> Option<*mut u8> {
    let counters = counters::of_this_cpu()?;
    let at = offset_of!(CpuCounters, releasing) + function % RELEASE_FUNCTIONS;
    // SAFETY: inside the value.
    Some(unsafe { counters.cast::<u8>().add(at) })
}
