//! What is asked of the kernel by system calls that no crate has: each in one place.

pub(crate) mod bpf;
mod call;
pub(crate) mod perf;

use std::time::Duration;

pub(crate) use call::{ioctl, owned};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of a page: the page size is the kernel's, and never changes.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Pages of a huge page: a page of page table entries, of 8 bytes each (`HPAGE_PMD_NR`).
pub(crate) fn huge_page_pages(page_bytes: u64) -> u64 {
    page_bytes / 8
}

/// Frees for others what was allocated and is free again: the C library keeps it, and the start
/// takes many times what comes after it.
pub(crate) fn free_unused_memory() {
    // SAFETY: it touches only what is free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether a process has no such thread (any more), by their ids where we are. Sends nothing: whether one
/// may is looked at after whether there is one.
pub(crate) fn is_gone(process: u32, thread: u32) -> bool {
    const NOTHING: libc::c_int = 0;
    // SAFETY: it takes numbers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, NOTHING) };
    call::checked(sent).is_err_and(|it| it.raw_os_error() == Some(libc::ESRCH))
}

/// Time since boot, what the machine slept included: `bpf_ktime_get_boot_ns` reads it too. For
/// how long something is held.
pub(crate) fn since_boot() -> Duration {
    read(ClockId::Boottime)
}

/// Time that the machine was awake, which `bpf_ktime_get_ns` reads too: for windows in which
/// something is watched.
pub(crate) fn awake() -> Duration {
    read(ClockId::Monotonic)
}

/// The time of day, since 1970.
pub(crate) fn since_1970() -> Duration {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_no_process_s_is_gone() {
        let me = std::process::id();
        assert!(!is_gone(me, me));
        assert!(is_gone(me, 1), "the first process's");
    }

    #[test]
    fn a_huge_page_is_as_large_as_the_kernels_whatever_a_page_is() {
        for (kib, mib) in [(4, 2), (16, 32), (64, 512)] {
            let page_bytes = kib << 10;
            assert_eq!(huge_page_pages(page_bytes) * page_bytes, mib << 20);
        }
    }
}
