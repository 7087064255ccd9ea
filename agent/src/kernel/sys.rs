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

/// The kernel's monotonic clock, which `bpf_ktime_get_ns` reads too.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}
