//! Pin calls under way in which the kernel may give pins back itself: longterm
//! ones, whose folios may lie where they must not stay.
//!
//! Hardly ever is there one, and a release need not ask then which call it is in.
//! On kernels that do not say which flag that is, every call may be one; they are
//! not counted, and a release always asks.

use probe_abi::ABSENT;

use crate::{
    atomic::{load, xadd},
    layout::layout,
};

/// A number that many CPUs may change, away from what all of them read.
#[repr(C)]
struct Apart {
    before: [u64; 8],
    calls: u64,
    after: [u64; 7],
}

#[unsafe(no_mangle)]
static mut UNDOING: Apart = Apart {
    before: [0; 8],
    calls: 0,
    after: [0; 7],
};

/// Its address.
#[inline(always)]
fn calls() -> *mut u64 {
    // SAFETY: a static, of which nothing is read.
    unsafe { &raw mut UNDOING.calls }
}

/// One begins.
#[inline(always)]
pub(crate) fn begins() {
    if layout!(foll_longterm) != ABSENT {
        xadd(calls(), 1);
    }
}

/// One that began ends.
#[inline(always)]
pub(crate) fn ends() {
    if layout!(foll_longterm) != ABSENT {
        xadd(calls(), 1_u64.wrapping_neg());
    }
}

/// Whether there may be any.
#[inline(always)]
pub(crate) fn may_be() -> bool {
    layout!(foll_longterm) == ABSENT || load(calls()) != 0
}
