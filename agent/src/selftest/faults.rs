//! Page faults of our own that a perf event samples with the physical address: the
//! kernel looks each up as an interrupt would, by `get_user_pages_fast_only()`. Needs
//! `CAP_PERFMON`, and is gone with this.

use std::{
    io::{self, Error},
    mem,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE as DISABLE, PERF_EVENT_IOC_ENABLE as ENABLE, perf_event_attr,
};
use memmap2::{MmapMut, MmapOptions, MmapRaw};

use super::memory::{PAGES, owned, touch, unmap};
use crate::kernel::sys::page_bytes;

/// include/uapi/linux/perf_event.h.
const SOFTWARE: u32 = 1;
const FAULTS_WITHOUT_IO: u64 = 5;
const PHYSICAL_ADDRESS: u64 = 1 << 19;
const SAMPLE: u32 = 9;
const CLOSE_ON_EXEC: libc::c_ulong = 8;
/// Where in the first page of its buffer the kernel says how far it wrote.
const HEAD: usize = 1024;

/// Has every page of a file fault once, and fails where the kernel has not looked up
/// each: several that came with one fault, or addresses that it keeps to itself.
pub(super) fn sampled(pages: &mut MmapMut) -> io::Result<()> {
    unmap(pages)?;
    let event = open()?;
    let page = page_bytes() as usize;
    let buffer = MmapOptions::new()
        .len(2 * page)
        .map_raw(event.as_raw_fd())?;
    // Its pages are there before anything is counted.
    known_addresses(&buffer, page);
    control(&event, ENABLE)?;
    touch(pages);
    control(&event, DISABLE)?;
    let found = known_addresses(&buffer, page);
    if found == PAGES {
        Ok(())
    } else {
        Err(Error::other(format!(
            "{found} of {PAGES} pages were looked up"
        )))
    }
}

fn control(event: &OwnedFd, request: u32) -> io::Result<()> {
    // SAFETY: both requests take a number only.
    let failed = unsafe { libc::ioctl(event.as_raw_fd(), request.into(), 0) };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

/// Faults of this thread in user mode, every one a sample; not yet.
fn open() -> io::Result<OwnedFd> {
    // SAFETY: plain integers, for which zero is a value.
    let mut event: perf_event_attr = unsafe { mem::zeroed() };
    event.size = size_of::<perf_event_attr>() as u32;
    event.type_ = SOFTWARE;
    event.config = FAULTS_WITHOUT_IO;
    event.__bindgen_anon_1.sample_period = 1;
    event.sample_type = PHYSICAL_ADDRESS;
    event.set_disabled(1);
    event.set_exclude_kernel(1);
    event.set_exclude_hv(1);
    let (this_thread, any_cpu, no_group) = (0, -1, -1);
    // SAFETY: the kernel reads the structure, which outlives the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_ref(&event),
            this_thread,
            any_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    })
}

/// Samples that have an address; without one it is zero.
fn known_addresses(buffer: &MmapRaw, page: usize) -> usize {
    let start = buffer.as_ptr();
    // SAFETY: inside the first page, aligned; the kernel changes it atomically.
    let head = unsafe { AtomicU64::from_ptr(start.wrapping_add(HEAD).cast_mut().cast()) };
    let written = (head.load(Ordering::Acquire) as usize).min(page);
    let mut words = Vec::new();
    for at in (0..page).step_by(8) {
        // SAFETY: inside the second page, written before the head was, aligned.
        words.push(unsafe { start.wrapping_add(page + at).cast::<u64>().read_volatile() });
    }
    // A header of type, flags and size, then what was asked for.
    let mut known = 0;
    let mut rest = &words[..written / 8];
    while let [header, address, ..] = rest {
        if *header as u32 == SAMPLE && *address != 0 {
            known += 1;
        }
        let words = (*header >> 48) as usize / 8;
        rest = rest.get(words.max(1)..).unwrap_or_default();
    }
    known
}
