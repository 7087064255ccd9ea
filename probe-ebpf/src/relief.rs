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

#[cfg(not(feature = "baseline"))]
use crate::counters;

/// The first program of a function is at work on this CPU while this lives.
///
/// Before Linux 5.12, where the `baseline` flavour runs, nothing is skipped.
pub(crate) struct AtWork(*mut u8);

impl AtWork {
    /// `counters`: those of this CPU.
    #[inline(always)]
    pub(crate) fn begin(counters: *mut CpuCounters, function: usize) -> Self {
        let it = Self(mark(counters, function));
        it.mark(1);
        it
    }

    #[inline(always)]
    fn mark(&self, at_work: u8) {
        if cfg!(not(feature = "baseline")) {
            // SAFETY: a map value, which only this CPU changes; what comes in on top
            // ends before this goes on.
            unsafe { self.0.write_volatile(at_work) };
        }
    }
}

impl Drop for AtWork {
    #[inline(always)]
    fn drop(&mut self) {
        self.mark(0);
    }
}

/// Whether the first program was kept from a run that the second one makes up for.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn is_due(function: usize) -> bool {
    let counters = counters::of_this_cpu();
    // SAFETY: as above.
    counters.is_some_and(|it| unsafe { mark(it, function).read_volatile() } == 1)
}

/// Counts such a run.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn made_up() {
    counters::add(1, offset_of!(CpuCounters, runs_made_up));
}

#[inline(always)]
fn mark(counters: *mut CpuCounters, function: usize) -> *mut u8 {
    let at = offset_of!(CpuCounters, releasing) + function % RELEASE_FUNCTIONS;
    // SAFETY: inside the value.
    unsafe { counters.cast::<u8>().add(at) }
}
