//! Page faults of our own that a perf event samples with the physical address: the
//! kernel looks each up as an interrupt would, by `get_user_pages_fast_only()`. Needs
//! `CAP_PERFMON`, and is gone with this.

use std::{
    io::{self, Error},
    mem::offset_of,
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use aya_obj::generated::{
    perf_event_mmap_page, perf_event_sample_format, perf_event_type, perf_sw_ids, perf_type_id,
};
use memmap2::{MmapMut, MmapOptions, MmapRaw};

use super::memory::{PAGES, touch, unmap};
use crate::kernel::sys::{
    page_bytes,
    perf::{self, Scope},
};

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
    perf::enable(&event)?;
    touch(pages);
    perf::disable(&event)?;
    let found = known_addresses(&buffer, page);
    if found == PAGES {
        Ok(())
    } else {
        Err(Error::other(format!(
            "{found} of {PAGES} pages were looked up"
        )))
    }
}

/// Faults of this thread in user mode, every one a sample; not yet.
fn open() -> io::Result<OwnedFd> {
    let kind = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    let faults_without_io = perf_sw_ids::PERF_COUNT_SW_PAGE_FAULTS_MIN as u64;
    let mut event = perf::attributes(kind, faults_without_io);
    event.__bindgen_anon_1.sample_period = 1;
    event.sample_type = perf_event_sample_format::PERF_SAMPLE_PHYS_ADDR as u64;
    event.set_disabled(1);
    event.set_exclude_kernel(1);
    event.set_exclude_hv(1);
    perf::open(&event, Scope::ThisThread)
}

/// Samples that have an address; without one it is zero.
fn known_addresses(buffer: &MmapRaw, page: usize) -> usize {
    /// Where in the first page of its buffer the kernel says how far it wrote.
    const HEAD: usize = offset_of!(perf_event_mmap_page, data_head);
    const SAMPLE: u32 = perf_event_type::PERF_RECORD_SAMPLE as u32;
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
