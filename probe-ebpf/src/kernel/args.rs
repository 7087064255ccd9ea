//! One way to take an argument of the traced function, and the path that led to
//! it, whatever the hook type.

#[cfg(feature = "baseline")]
use aya_ebpf::helpers::bpf_probe_read_kernel;
#[cfg(not(feature = "baseline"))]
use aya_ebpf::helpers::generated::bpf_get_func_arg;
use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_get_stack,
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};

use crate::kernel::arch::{Arch, This};

/// A hook at which the traced function's arguments can be read.
pub(crate) trait Args {
    /// Argument `n`, from 0; 0 where the architecture passes it in memory.
    fn arg(&self, n: usize) -> u64;

    /// The same of one that is no pointer, which may cost less.
    fn number(&self, n: usize) -> u64;
}

/// A hook at which the stack of the traced call can be looked at.
pub(crate) trait Stack: EbpfContext {
    /// An address on the stack, always as far from the frame of the traced
    /// function's caller, which lies above.
    fn stack(&self) -> u64;

    /// Frames that a path taken here has before the traced function's caller.
    fn inner_frames(&self) -> u32;

    /// The caller, where a path taken here would not have it.
    #[inline(always)]
    fn unseen_caller(&self) -> Option<u64> {
        None
    }
}

impl Args for ProbeContext {
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        ProbeContext::arg(self, n).unwrap_or(0)
    }

    #[inline(always)]
    fn number(&self, n: usize) -> u64 {
        Args::arg(self, n)
    }
}

impl Stack for ProbeContext {
    #[inline(always)]
    fn stack(&self) -> u64 {
        // SAFETY: the context of a kprobe is the registers.
        This::stack_pointer(unsafe { &*self.regs })
    }

    #[inline(always)]
    fn inner_frames(&self) -> u32 {
        // The function itself, or the caller in its place.
        u32::from(self.unseen_caller().is_none())
    }

    #[inline(always)]
    fn unseen_caller(&self) -> Option<u64> {
        // SAFETY: as above.
        This::link(unsafe { &*self.regs })
    }
}

/// The function has returned, as far as its stack is concerned.
impl Stack for RetProbeContext {
    #[inline(always)]
    fn stack(&self) -> u64 {
        // SAFETY: the context of a kretprobe is the registers.
        This::stack_pointer(unsafe { &*self.regs })
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

            #[inline(always)]
            fn number(&self, n: usize) -> u64 {
                word(self, n)
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
                // The program's functions and its trampoline, and on most kernels the
                // traced function.
                3
            }
        }
    };
}

trampoline!(FEntryContext);
trampoline!(FExitContext);

/// Return addresses from here outwards, as many as there is room for; how many.
#[inline(always)]
pub(crate) fn call_path<const N: usize>(ctx: &impl Stack, frames: *mut [u64; N]) -> u32 {
    // SAFETY: the buffer is as long as said.
    let bytes = unsafe { bpf_get_stack(ctx.as_ptr(), frames.cast(), (N * 8) as u32, 0) };
    if bytes <= 0 {
        return 0;
    }
    if let Some(caller) = ctx.unseen_caller() {
        // In the place of the function itself, which is known anyway.
        // SAFETY: an array of at least one.
        unsafe { frames.cast::<u64>().write(caller) };
    }
    bytes as u32 / 8
}

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

/// Word `n` of the context, which the verifier knows is no pointer.
#[inline(always)]
fn word(ctx: &impl EbpfContext, n: usize) -> u64 {
    // SAFETY: the context is an array of the arguments and of what was returned; the
    // verifier checks that there are as many.
    unsafe { ctx.as_ptr().cast::<u64>().add(n).read_volatile() }
}

/// The same in one instruction: of several in a row the compiler would make one at an
/// address that it reckons, which the verifier does not take.
macro_rules! word_at {
    ($ctx:ident, $n:literal) => {{
        let word: u64;
        // SAFETY: as above; nothing is written.
        unsafe {
            core::arch::asm!(
                "{word} = *(u64 *)({ctx} + {at})",
                word = out(reg) word,
                ctx = in(reg) $ctx.as_ptr(),
                at = const $n * 8,
                options(nostack, readonly),
            );
        }
        word
    }};
}

/// What the traced function, of so many arguments, returned: it comes after them. 0
/// for a function whose arguments are not known.
///
/// The verifier, which knows their number, leaves one of the loads.
#[inline(always)]
pub(crate) fn returned(ctx: &FExitContext, arguments: u32) -> i32 {
    let returned = match arguments {
        1 => word_at!(ctx, 1),
        2 => word_at!(ctx, 2),
        3 => word_at!(ctx, 3),
        4 => word_at!(ctx, 4),
        5 => word_at!(ctx, 5),
        6 => word_at!(ctx, 6),
        7 => word_at!(ctx, 7),
        8 => word_at!(ctx, 8),
        _ => 0,
    };
    returned as i32
}
