//! Pin calls under way in which the kernel may give pins back itself: longterm
//! ones, whose folios may lie where they must not stay.
//!
//! Hardly ever is there one, and a release need not ask then which call it is in.

use crate::atomic::{load, xadd};

/// Too high after a call whose return was missed, which costs later releases a look.
#[unsafe(no_mangle)]
static mut UNDOING_CALLS: u64 = 0;

/// One begins.
#[inline(always)]
pub(crate) fn begins() {
    xadd(&raw mut UNDOING_CALLS, 1);
}

/// One that began ends.
#[inline(always)]
pub(crate) fn ends() {
    xadd(&raw mut UNDOING_CALLS, 1_u64.wrapping_neg());
}

/// Whether there is any.
#[inline(always)]
pub(crate) fn may_be() -> bool {
    load(&raw const UNDOING_CALLS) != 0
}
