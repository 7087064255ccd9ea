//! The self-test at start: pins whose truth the agent knows, seen through its
//! own hooks. It also learns here which page is the zero page, and whether this
//! kernel takes pins on it.
//!
//! The pins are `process_vm_readv()` of the agent's own memory, which takes
//! `FOLL_PIN` on every kernel and releases it before it returns.

use std::{fs::File, hint::black_box, io, os::unix::fs::FileExt};

use memmap2::{Mmap, MmapOptions};
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::Errno,
    process::getpid,
};

use crate::{
    books::Books,
    error::AgentError,
    metrics::page_bytes,
    vmstat::{self, Vmstat},
};

/// Pages pinned per question: enough to tell ours from what others pin meanwhile.
const PAGES: usize = 32;

/// Keys of the ledger have as many bits, see [`probe_abi::folio_key`].
const KEY_MASK: u64 = (1 << 36) - 1;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Pins that the test made, and pins that the hooks saw meanwhile.
    pub(crate) made: u64,
    pub(crate) pinned: u64,
    pub(crate) unpinned: u64,
    /// Ledger key of the zero page, on a kernel that takes no pin on it.
    pub(crate) uncounted_zero_page: Option<u64>,
}

impl Findings {
    /// Whether the hooks saw at least what was done.
    pub(crate) fn hooks_work(&self) -> bool {
        self.pinned >= self.made && self.unpinned >= self.made
    }
}

/// Runs the test. Takes some milliseconds.
pub(crate) fn run(books: &Books) -> Result<Findings, AgentError> {
    let failed = |source| AgentError::System {
        what: "the self-test could not pin its own memory",
        source,
    };
    let file = file_pages().map_err(failed)?;
    let before = books.totals();
    pin(&file).map_err(failed)?;
    let after = books.totals();
    let zero = zero_pages().map_err(failed)?;
    let key = zero_page_key(books, &file, &zero);
    Ok(Findings {
        made: PAGES as u64,
        pinned: after.pages_pinned - before.pages_pinned,
        unpinned: after.pages_unpinned - before.pages_unpinned,
        uncounted_zero_page: match key {
            Some(key) if !counts(&zero).map_err(failed)? => Some(key),
            Some(_) | None => None,
        },
    })
}

/// Pages of a memfd: file pages, so that the ledger remembers them.
fn file_pages() -> io::Result<Mmap> {
    let bytes = PAGES * page_bytes() as usize;
    let file = memfd_create("pinscope-selftest", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, bytes as u64)?;
    let file = File::from(file);
    file.write_all_at(&vec![1; bytes], 0)?;
    // SAFETY: nobody else has the file, so nobody truncates it.
    unsafe { MmapOptions::new().len(bytes).map(&file) }
}

/// Anonymous pages that were only ever read: the zero page, many times.
fn zero_pages() -> io::Result<Mmap> {
    let bytes = PAGES * page_bytes() as usize;
    let pages = MmapOptions::new().len(bytes).map_anon()?.make_read_only()?;
    for page in pages.chunks(page_bytes() as usize) {
        black_box(page[0]);
    }
    Ok(pages)
}

/// Pins and unpins every page once.
fn pin(pages: &Mmap) -> io::Result<()> {
    let mut copy = vec![0u8; pages.len()];
    let local = libc::iovec {
        iov_base: copy.as_mut_ptr().cast(),
        iov_len: copy.len(),
    };
    let remote = libc::iovec {
        iov_base: pages.as_ptr().cast_mut().cast(),
        iov_len: pages.len(),
    };
    let me = getpid().as_raw_nonzero().get();
    // SAFETY: both ranges are ours and live; the kernel writes to `copy` only.
    let read = unsafe { libc::process_vm_readv(me, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(read) {
        Ok(read) if read == pages.len() => Ok(()),
        Ok(_) => Err(Errno::IO.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// The key under which the ledger would keep the zero page. Frame numbers and
/// keys differ by a constant, which the pages just pinned give away.
fn zero_page_key(books: &Books, file: &Mmap, zero: &Mmap) -> Option<u64> {
    let keys = books.keys();
    let frames = frames(file)?;
    let first = *frames.first()?;
    let shift = keys
        .iter()
        .map(|key| key.wrapping_sub(first))
        .find(|shift| {
            frames
                .iter()
                .all(|frame| keys.contains(&(frame.wrapping_add(*shift) & KEY_MASK)))
        })?;
    let zero_frames = self::frames(zero)?;
    let frame = *zero_frames.first()?;
    zero_frames
        .iter()
        .all(|it| *it == frame)
        .then_some(frame.wrapping_add(shift) & KEY_MASK)
}

/// Frame number of each page; `None` where the kernel hides them from us.
fn frames(pages: &Mmap) -> Option<Vec<u64>> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    let first = pages.as_ptr() as u64 / page_bytes();
    (0..PAGES as u64)
        .map(|page| {
            let mut entry = [0; 8];
            pagemap.read_exact_at(&mut entry, (first + page) * 8).ok()?;
            let entry = u64::from_ne_bytes(entry);
            (entry & PRESENT != 0 && entry & FRAME != 0).then_some(entry & FRAME)
        })
        .collect()
}

/// Whether the kernel's own counters see pins of these pages. Others may pin
/// meanwhile, so the smallest growth of several tries counts.
fn counts(pages: &Mmap) -> io::Result<bool> {
    let acquired = || {
        vmstat::refresh();
        Vmstat::read()
            .map(|it| it.acquired)
            .map_err(io::Error::other)
    };
    for _ in 0..3 {
        let before = acquired()?;
        pin(pages)?;
        if acquired()?.saturating_sub(before) < PAGES as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}
