//! One way to take an argument of the traced function, whatever the hook type.

#[cfg(feature = "baseline")]
use aya_ebpf::helpers::bpf_probe_read_kernel;
#[cfg(not(feature = "baseline"))]
use aya_ebpf::helpers::generated::bpf_get_func_arg;
use aya_ebpf::{
    EbpfContext,
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};

/// A hook at which the traced function's arguments can be read.
pub(crate) trait Args {
    /// Argument `n`, from 0; 0 where the architecture passes it in memory.
    fn arg(&self, n: usize) -> u64;
}

/// A hook at which the stack of the traced call can be looked at.
pub(crate) trait Stack: EbpfContext {
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
}

impl Stack for ProbeContext {
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

/// The function has returned, as far as its stack is concerned.
impl Stack for RetProbeContext {
    #[inline(always)]
    fn stack(&self) -> u64 {
        // SAFETY: the context of a kretprobe is the registers.
        unsafe { (*self.regs).rsp }
    }

    #[inline(always)]
    fn inner_frames(&self) -> u32 {
        // What it returned to instead.
        1
    }
}

macro_rules! trampoline {
    ($context:ty) => {
        impl Args for $context {
            #[inline(always)]
            fn arg(&self, n: usize) -> u64 {
                traced_arg(self, n)
            }
        }

        impl Stack for $context {
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
    };
}

trampoline!(FEntryContext);
trampoline!(FExitContext);

/// Through the helper, which the verifier replaces by a load: a direct load
/// would give a typed pointer, and the verifier forbids the arithmetic that a
/// head page takes on those.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
fn traced_arg(ctx: &impl EbpfContext, n: usize) -> u64 {
    let mut value = 0;
    // SAFETY: `value` outlives the call. A missing argument leaves it 0.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), n as u32, &raw mut value) };
    value
}

/// As a number of kernel memory, which it is: so the trampoline keeps them, and
/// this kernel has no helper that knows.
#[cfg(feature = "baseline")]
#[inline(always)]
fn traced_arg(ctx: &impl EbpfContext, n: usize) -> u64 {
    // SAFETY: an address, checked by the helper that reads it.
    let at = unsafe { ctx.as_ptr().cast::<u64>().add(n) };
    // SAFETY: the helper fails instead of faulting.
    unsafe { bpf_probe_read_kernel(at) }.unwrap_or(0)
}

/// What the traced function, of so many arguments, returned.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn returned(ctx: &FExitContext, _arguments: u32) -> i32 {
    ctx.ret::<i32>().unwrap_or(0)
}

/// The same: it comes after them. 0 for a function whose arguments are not known.
#[cfg(feature = "baseline")]
#[inline(always)]
pub(crate) fn returned(ctx: &FExitContext, arguments: u32) -> i32 {
    match arguments {
        1..=6 => traced_arg(ctx, arguments as usize) as i32,
        _ => 0,
    }
}
