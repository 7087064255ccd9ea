//! x86-64: a call leaves the return address on the stack, as it is.

use core::mem::offset_of;

use aya_ebpf::bindings::pt_regs;
use probe_abi::ABSENT;

use super::port::{Arch, This};
use crate::kernel::{
    layout::layout,
    read::{member, read_kernel},
};

/// `-ENOSYS`, which every entry puts where the result will be (arch/x86/entry/entry_64.S).
const NO_RESULT: u64 = -38_i64 as u64;

/// `TS_COMPAT`, arch/x86/include/asm/thread_info.h: an entry for programs of 32 bits, whose arguments
/// are in other registers. A program of 64 bits can take it, too (`int 0x80`).
const COMPAT: u32 = 2;

impl Arch for This {
    /// `entry_SYSCALL_64_after_hwframe`, `do_syscall_64`, and the call's own or
    /// what jumps to it.
    const SYSCALL_FRAMES: u32 = 3;

    const PROCESS_VM: [u64; 2] = [310, 311];

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
    fn system_call(task: u64, registers: u64) -> Option<(u64, u64, u64)> {
        let at = |offset: usize| read_kernel::<u64>(registers + offset as u64);
        if at(offset_of!(pt_regs, rax))? != NO_RESULT {
            return None;
        }
        let status = if layout!(task_status) == ABSENT {
            0
        } else {
            member::<u32>(task, layout!(task_status))?
        };
        let (first, second) = if status & COMPAT != 0 {
            (offset_of!(pt_regs, rbx), offset_of!(pt_regs, rcx))
        } else {
            (offset_of!(pt_regs, rdi), offset_of!(pt_regs, rsi))
        };
        Some((
            at(offset_of!(pt_regs, orig_rax))?,
            at(first)? as u32 as u64,
            at(second)? as u32 as u64,
        ))
    }
}
