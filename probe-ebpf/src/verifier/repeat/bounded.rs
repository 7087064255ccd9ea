//! Loops for kernels without `bpf_loop`: bounded ones, which the verifier walks
//! round by round. So a step with more to do than a few instructions is a
//! function with C linkage, that the verifier looks at once.

use core::ffi::c_void;

use super::end::ends;
use crate::verifier::scratch::Raw;

/// Work that one call of a step does.
pub(crate) const BLOCK: u32 = 256;

/// Most rounds of one loop.
const ROUNDS: u32 = 512;

/// Calls `step` with 0, 1, .. and what it is to work on, until it returns 1.
#[inline(always)]
pub(crate) fn repeat(times: u32, step: extern "C" fn(u64, Raw) -> i64, with: Raw) {
    let mut round = 0;
    while round < ROUNDS && round < times {
        if step(u64::from(round), with) != 0 {
            return;
        }
        round += 1;
    }
}

/// The same for a step that works on something on its caller's stack.
#[inline(always)]
pub(crate) fn repeat_here(
    times: u32,
    step: extern "C" fn(u64, *mut c_void) -> i64,
    with: *mut c_void,
) {
    for round in 0..times {
        if step(u64::from(round), with) != 0 {
            return;
        }
    }
}

/// Rounds of [`each`] at most: the verifier follows 8,192 jumps.
pub(crate) const MOST: u32 = 2048;

/// Calls `step` with 0, 1, .. until it returns 1.
#[inline(always)]
pub(crate) fn each(times: u32, step: extern "C" fn(u64) -> i64) {
    let mut round = 0;
    while round < MOST && round < times {
        if ends(step(u64::from(round))) == 1 {
            return;
        }
        round += 1;
    }
}

/// How many calls of a step get through `n` pieces of work; what is beyond
/// [`ROUNDS`] of them is not reached.
#[inline(always)]
pub(crate) fn steps(n: u64) -> u32 {
    const MAX: u64 = ROUNDS as u64 * BLOCK as u64;
    n.min(MAX).div_ceil(u64::from(BLOCK)) as u32
}

/// Pretends that a step needs its number: the compiler would otherwise call it with
/// whatever is in that register, which the verifier refuses if it is an address.
#[inline(always)]
pub(crate) fn needs(number: u64) {
    core::hint::black_box(number);
}

/// Does a block of them.
macro_rules! step_by {
    ($step:ident, $visit:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $step(index: u64, with: $crate::verifier::scratch::Raw) -> i64 {
            $crate::verifier::repeat::loops::needs(index);
            for _ in 0..$crate::verifier::repeat::loops::BLOCK {
                if $crate::verifier::repeat::end::ends($visit($crate::verifier::scratch::handle(
                    with,
                ))) == 1
                {
                    return 1;
                }
            }
            0
        }
    };
}
pub(crate) use step_by;
