//! The io_uring that pins belong to: the one that a system call registers buffers with,
//! or the one that a worker is taking down.

use aya_ebpf::helpers::generated::bpf_get_current_task;
use probe_abi::ABSENT;

use crate::kernel::{
    arch::{Arch, This},
    layout::layout,
    read::{member, read_kernel},
    task,
};

/// `io_uring_register(fd, opcode, ..)`, the same on x86-64 and arm64.
const IO_URING_REGISTER: u64 = 427;

/// `io_uring_enter()`, as above.
pub(crate) const ENTER: u64 = 426;

/// Of its `opcode`: `fd` is the index of a ring that the task has registered
/// (`IORING_REGISTER_USE_REGISTERED_RING`, Linux 6.3), of which there are so many
/// (`IO_RINGFD_REG_MAX`).
const USE_REGISTERED: u64 = 1 << 31;
const REGISTERED: u64 = 16;

/// Address of the `io_ring_ctx` that the current system call registers something with;
/// 0 for another call.
#[inline(always)]
pub(crate) fn of_syscall(task: u64) -> u64 {
    ring_of_syscall(task)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ring_of_syscall(task: u64) -> u64 {
    let registers = task::registers();
    if registers == 0 {
        return 0;
    }
    let Some((number, fd, opcode)) = This::system_call(task, registers) else {
        return 0;
    };
    if number != IO_URING_REGISTER {
        return 0;
    }
    let file = if opcode & USE_REGISTERED == 0 {
        open_file(task, fd)
    } else {
        registered_ring(task, fd)
    };
    file.and_then(|it| member(it, layout!(file_private)))
        .unwrap_or(0)
}

/// Whether a process has used an io_uring.
#[inline(always)]
pub(crate) fn has_sent_requests(task: u64) -> bool {
    layout!(task_io_uring) != ABSENT
        && member::<u64>(task, layout!(task_io_uring)).unwrap_or(0) != 0
}

#[inline(always)]
fn open_file(task: u64, fd: u64) -> Option<u64> {
    let files: u64 = member(task, layout!(task_files))?;
    let table: u64 = member(files, layout!(files_fdt))?;
    let most: u32 = member(table, layout!(fdt_max))?;
    if fd >= u64::from(most) {
        return None;
    }
    let descriptors: u64 = member(table, layout!(fdt_fd))?;
    read_kernel(descriptors + fd * 8)
}

#[inline(always)]
fn registered_ring(task: u64, index: u64) -> Option<u64> {
    let context: u64 = member(task, layout!(task_io_uring))?;
    let rings = layout!(uring_rings);
    if rings == ABSENT || index >= REGISTERED {
        return None;
    }
    read_kernel(context + u64::from(rings) + index * 8)
}

/// The address space that a ring was made for; 0 for no ring.
#[inline(always)]
pub(crate) fn mm_of(ring: u64) -> u64 {
    if ring == 0 {
        return 0;
    }
    member(ring, layout!(ring_mm)).unwrap_or(0)
}

/// The ring that the current kernel worker takes down; 0 for another work.
#[inline(always)]
pub(crate) fn of_worker() -> u64 {
    ring_of_worker()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ring_of_worker() -> u64 {
    exit_work().map_or(0, |work| work - u64::from(layout!(ring_exit_work)))
}

/// The work that takes a ring down: `io_ring_ctx.exit_work`, run by `io_ring_exit_work()`.
#[inline(always)]
fn exit_work() -> Option<u64> {
    let function = layout!(ring_exit);
    if function == 0 || layout!(ring_exit_work) == ABSENT {
        return None;
    }
    // SAFETY: the helper has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let thread: u64 = member(task, layout!(task_kthread))?;
    let worker: u64 = member(thread, layout!(kthread_data))?;
    if member::<u64>(worker, layout!(worker_func))? != function {
        return None;
    }
    member(worker, layout!(worker_work))
}
