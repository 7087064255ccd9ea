//! Loops: `bpf_loop`, which every kernel from 5.17 on has.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;

/// Calls `step` with 0, 1, .. and the pointer, until it returns 1.
///
/// A step with more to do than a few instructions calls a function of its own,
/// with C linkage: the verifier looks at that once, whatever leads to it.
#[inline(always)]
pub(crate) fn repeat(times: u32, step: extern "C" fn(u64, *mut c_void) -> i64, with: *mut c_void) {
    // SAFETY: the callback has the signature the helper wants; callers pass what
    // it takes, on their stack.
    unsafe { bpf_loop(times, step as *mut c_void, with, 0) };
}

/// What a step returns: 1 for the end, told in such a way that the verifier, which
/// does not know what a function returns, sees it cannot be anything else.
#[inline(always)]
pub(crate) fn ends(returned: i64) -> i64 {
    core::hint::black_box(returned) & 1
}
