//! One way to take an argument of the traced function, whatever the hook type.

use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext};

/// A hook at which the traced function's arguments can be read.
pub(crate) trait Args {
    /// Argument `n`, from 0; 0 where the architecture passes it in memory.
    fn arg(&self, n: usize) -> u64;
}

impl Args for ProbeContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        ProbeContext::arg(self, n).unwrap_or(0)
    }
}

impl Args for FEntryContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        FEntryContext::arg(self, n)
    }
}

impl Args for FExitContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        FExitContext::arg(self, n)
    }
}
