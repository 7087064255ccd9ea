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

    /// An address on the stack, always as far from the frame of the traced
    /// function's caller, which lies above.
    fn stack(&self) -> u64;

    /// Frames that a stack taken here has before the traced function's caller.
    fn inner_frames(&self) -> u32;
}

impl Args for ProbeContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        ProbeContext::arg(self, n).unwrap_or(0)
    }

    #[inline(always)]
    fn stack(&self) -> u64 {
        // SAFETY: the context of a kprobe is the registers.
        unsafe { (*self.regs).rsp }
    }

    #[inline(always)]
    fn inner_frames(&self) -> u32 {
        // The function itself.
        1
    }
}

impl Args for FEntryContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        traced_arg(self, n)
    }

    #[inline(always)]
    fn stack(&self) -> u64 {
        // The trampoline keeps the arguments in its own frame.
        self.as_ptr() as u64
    }

    #[inline(always)]
    fn inner_frames(&self) -> u32 {
        // The program, its trampoline and the function.
        3
    }
}

impl Args for FExitContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        traced_arg(self, n)
    }

    #[inline(always)]
    fn stack(&self) -> u64 {
        // The trampoline keeps the arguments in its own frame.
        self.as_ptr() as u64
    }

    #[inline(always)]
    fn inner_frames(&self) -> u32 {
        // The program, its trampoline and the function.
        3
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
