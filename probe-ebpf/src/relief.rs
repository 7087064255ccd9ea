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

use core::{mem::offset_of, ptr::NonNull};

use probe_abi::{CpuCounters, RELEASE_FUNCTIONS};

use crate::counters;

/// The first program of a function is at work on this CPU while this lives.
///
/// Before Linux 5.12, where the `baseline` flavour runs, nothing is skipped.
pub(crate) struct AtWork(Option<NonNull<u8>>);

impl AtWork {
    #[inline(always)]
    pub(crate) fn begin(function: usize) -> Self {
        let mark = mark(function).filter(|_| cfg!(not(feature = "baseline")));
        // No word beside it that would be undefined where there is none.
        let mark = mark.and_then(NonNull::new);
        if let Some(mark) = mark {
            // SAFETY: a map value, which only this CPU changes; what comes in on top
            // ends before this goes on.
            unsafe { mark.write_volatile(1) };
        }
        Self(mark)
    }
}

impl Drop for AtWork {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(mark) = self.0 {
            // SAFETY: as above.
            unsafe { mark.write_volatile(0) };
        }
    }
}

/// Whether the first program was kept from a run that the second one makes up for.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn is_due(function: usize) -> bool {
    // SAFETY: as above.
    mark(function).is_some_and(|it| unsafe { it.read_volatile() } == 1)
}

/// Counts such a run.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn made_up() {
    counters::add(1, offset_of!(CpuCounters, runs_made_up));
}

#[inline(always)]
fn mark(function: usize) -> Option<*mut u8> {
    let counters = counters::of_this_cpu()?;
    let at = offset_of!(CpuCounters, releasing) + function % RELEASE_FUNCTIONS;
    // SAFETY: inside the value.
    Some(unsafe { counters.cast::<u8>().add(at) })
}
