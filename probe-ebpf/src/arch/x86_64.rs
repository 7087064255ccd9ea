//! x86-64: a call leaves the return address on the stack, as it is.

use aya_ebpf::bindings::pt_regs;

use super::{Arch, This};

impl Arch for This {
    /// `entry_SYSCALL_64_after_hwframe`, `do_syscall_64`, and the call's own or
    /// what jumps to it.
    const SYSCALL_FRAMES: u32 = 3;

    #[inline(always)]
    fn stack_pointer(regs: &pt_regs) -> u64 {
        regs.rsp
    }

    #[inline(always)]
    fn link(_regs: &pt_regs) -> Option<u64> {
        None
    }

    #[inline(always)]
    fn code_address(word: u64) -> u64 {
        word
    }
}
