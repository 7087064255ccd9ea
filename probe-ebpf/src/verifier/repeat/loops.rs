//! Loops by the helper `bpf_loop`, which every kernel from 5.17 on has.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;

use crate::verifier::scratch::Raw;

/// Calls `step` with 0, 1, .. and the pointer, until it returns 1.
///
/// A step with more to do than a few instructions calls a function of its own,
/// with C linkage: the verifier looks at that once, whatever leads to it.
#[inline(always)]
pub(crate) fn repeat(times: u32, step: extern "C" fn(u64, Raw) -> i64, with: Raw) {
    // SAFETY: the callback has the signature the helper wants; callers pass what
    // it takes, on their stack.
    unsafe { bpf_loop(times, step as *mut c_void, with, 0) };
}

/// The same for a step that always finds what it works on on its caller's stack.
#[inline(always)]
pub(crate) fn repeat_here(
    times: u32,
    step: extern "C" fn(u64, *mut c_void) -> i64,
    with: *mut c_void,
) {
    repeat(times, step, with);
}

/// Rounds at most: the limit of `bpf_loop`.
pub(crate) const MOST: u32 = 1 << 23;

/// Calls `step` with 0, 1, .. until it returns 1.
#[inline(always)]
pub(crate) fn each(times: u32, step: extern "C" fn(u64) -> i64) {
    // SAFETY: as above; a callback need not take the second argument.
    unsafe { bpf_loop(times, step as *mut c_void, core::ptr::null_mut(), 0) };
}

/// How many calls of a step get through `n` pieces of work, of which each call
/// does one at least.
#[inline(always)]
pub(crate) fn steps(n: u64) -> u32 {
    n.min(u64::from(MOST)) as u32
}

/// A step does not need its number.
#[inline(always)]
pub(crate) fn needs(_number: u64) {}

/// Does one of them.
macro_rules! step_by {
    ($step:ident, $visit:ident) => {
        extern "C" fn $step(_index: u64, with: $crate::verifier::scratch::Raw) -> i64 {
            $crate::verifier::repeat::end::ends($visit($crate::verifier::scratch::handle(with)))
        }
    };
}
pub(crate) use step_by;
