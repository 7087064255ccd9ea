//! What a port provides.

use aya_ebpf::bindings::pt_regs;

/// The architecture that this object is for.
pub(crate) struct This;

/// What a port provides.
pub(crate) trait Arch {
    /// Frames at the outer end of a path that are the same for all system calls:
    /// the entry itself, what chooses the call, and the call's own.
    const SYSCALL_FRAMES: u32;

    /// Where the stack ends.
    fn stack_pointer(regs: &pt_regs) -> u64;

    /// At the entry of a function, where that returns to, if it is in a register:
    /// what unwinds the stack then passes over the caller. `None` where it is on
    /// the stack.
    fn link(regs: &pt_regs) -> Option<u64>;

    /// The address in a word of the stack that holds one of the kernel's code.
    fn code_address(word: u64) -> u64;

    /// Number and first two arguments of the system call that a task entered with the
    /// registers at an address; `None` once it has a result: what a task does then, on its way
    /// back to user space, is not the call's.
    fn system_call(task: u64, registers: u64) -> Option<(u64, u64, u64)>;

    /// Numbers of `process_vm_readv()` and `process_vm_writev()`.
    const PROCESS_VM: [u64; 2];
}
