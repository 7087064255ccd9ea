//! arm64: a call leaves the return address in a register, and a function that
//! keeps it on the stack may sign it (`CONFIG_ARM64_PTR_AUTH_KERNEL`).

use aya_ebpf::bindings::pt_regs;

use super::port::{Arch, This};
use crate::kernel::read::read_kernel;

/// The register that a call puts the return address into.
const LINK: usize = 30;

/// Bits of an address in which a signature may lie; in one of the kernel's code
/// they are set. Bit 55, which says whose address it is, is set with them.
const SIGNATURE: u64 = 0xffff << 48;

impl Arch for This {
    /// `el0t_64_sync`, `el0t_64_sync_handler`, `el0_svc`, `do_el0_svc`,
    /// `el0_svc_common`, `invoke_syscall`, and the call's own.
    const SYSCALL_FRAMES: u32 = 7;

    const PROCESS_VM: [u64; 2] = [270, 271];

    #[inline(always)]
    fn stack_pointer(regs: &pt_regs) -> u64 {
        regs.sp
    }

    #[inline(always)]
    fn link(regs: &pt_regs) -> Option<u64> {
        Some(Self::code_address(regs.regs[LINK]))
    }

    /// The kernel's code lies in the topmost 128 TiB whatever the size of its
    /// address space (`KIMAGE_VADDR`, arch/arm64/include/asm/memory.h).
    #[inline(always)]
    fn code_address(word: u64) -> u64 {
        word | SIGNATURE
    }

    #[inline(always)]
    fn system_call(_task: u64, registers: u64) -> Option<(u64, u64, u64)> {
        // `struct pt_regs`, arch/arm64/include/asm/ptrace.h: what user space sees of it,
        // 34 words, then `orig_x0` and `syscallno`.
        const FIRST: u64 = 34 * 8;
        const NUMBER: u64 = 35 * 8;
        const SECOND: u64 = 8;
        // The result goes where the first argument came from. One that is the same does not show.
        if read_kernel::<u64>(registers)? != read_kernel::<u64>(registers + FIRST)? {
            return None;
        }
        Some((
            u64::from(read_kernel::<u32>(registers + NUMBER)?),
            u64::from(read_kernel::<u32>(registers + FIRST)?),
            u64::from(read_kernel::<u32>(registers + SECOND)?),
        ))
    }
}
