//! The end of a loop, as the verifier understands it.

/// What a step returns: 1 for the end, told in such a way that the verifier, which
/// does not know what a function returns, sees it cannot be anything else.
#[inline(always)]
pub(crate) fn ends(returned: i64) -> i64 {
    core::hint::black_box(returned) & 1
}
