//! x86-64: a call leaves the return address on the stack, as it is.

use core::mem::offset_of;

use aya_ebpf::bindings::pt_regs;

use super::port::{Arch, This};
use crate::kernel::read::read_kernel;

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

    #[inline(always)]
    fn system_call(registers: u64) -> Option<(u64, u64, u64)> {
        let at = |offset: usize| read_kernel::<u64>(registers + offset as u64);
        Some((
            at(offset_of!(pt_regs, orig_rax))?,
            at(offset_of!(pt_regs, rdi))? as u32 as u64,
            at(offset_of!(pt_regs, rsi))? as u32 as u64,
        ))
    }
}
