//! A zero that the verifier does not know to be one.
//!
//! It follows every value it knows: a counter that starts from a known zero
//! looks new to it in every round of a loop, and each outcome of a search is a
//! path of its own. Starting from this, they look alike, and it stops early.

use core::arch::asm;

#[unsafe(no_mangle)]
static mut UNKNOWN_ZERO: u64 = 0;

/// Zero.
#[inline(always)]
pub(crate) fn unknown_zero() -> u64 {
    // SAFETY: nothing writes it.
    unsafe { (&raw const UNKNOWN_ZERO).read_volatile() }
}

/// The same number, of which the compiler knows nothing.
#[inline(always)]
pub(crate) fn opaque(mut number: u64) -> u64 {
    // One instruction, because a line of code must have one; the standard library's has
    // the number in memory, for a store and a load.
    // SAFETY: a register, left as it is.
    unsafe { asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}

/// A pointer as a number, with which the verifier lets us do what it does not allow of a
/// pointer.
#[inline(always)]
pub(crate) fn number(pointer: *const u8) -> u64 {
    let mut number = pointer as u64;
    // To the verifier the negative of a pointer is a number, and the negative of that too.
    // SAFETY: a register, changed to what it was.
    unsafe { asm!("{0} = -{0}", "{0} = -{0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}

/// An address that does not move, for the distance of others from it.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn origin() -> u64 {
    &raw const UNKNOWN_ZERO as u64
}
