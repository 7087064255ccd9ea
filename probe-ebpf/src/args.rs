//! One way to take an argument of the traced function, whatever the hook type.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_get_func_arg,
    programs::{FEntryContext, FExitContext, ProbeContext},
};

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
        traced_arg(self, n)
    }
}

impl Args for FExitContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        traced_arg(self, n)
    }
}

/// Through the helper, which the verifier replaces by a load: a direct load
/// would give a typed pointer, and the verifier forbids the arithmetic that a
/// head page takes on those.
#[inline(always)]
fn traced_arg(ctx: &impl EbpfContext, n: usize) -> u64 {
    let mut value = 0;
    // SAFETY: `value` outlives the call. A missing argument leaves it 0.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), n as u32, &raw mut value) };
    value
}
