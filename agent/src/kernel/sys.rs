//! What is asked of the kernel by system calls, each in one place.

use std::{io, time::Duration};

use aya_obj::generated::{bpf_attr, bpf_cmd};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of a page: the page size is the kernel's, and never changes.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Time since boot, what the machine slept included: `bpf_ktime_get_boot_ns` reads it too. For
/// how long something is held.
pub(crate) fn since_boot() -> Duration {
    read(ClockId::Boottime)
}

/// Time that the machine was awake: for windows in which something is watched.
pub(crate) fn awake() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// The `bpf` system call: what it returned, or its error.
pub(crate) fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: the kernel reads and writes the attributes and what they point to, which
    // outlive the call: callers see to the latter.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw mut *attributes,
            size_of::<bpf_attr>(),
        )
    };
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(returned)
}
