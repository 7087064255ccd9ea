//! Which page is the zero page, and whether this kernel takes pins on it.

use std::{collections::HashSet, fs::File, io, os::unix::fs::FileExt};

use super::memory::{PAGES, read_across, zero_pages};
use crate::kernel::{
    sys::page_bytes,
    vmstat::{self, PinCounts},
};

/// Keys of the ledger have as many bits, see [`probe_abi::folio_key`].
const KEY_MASK: u64 = (1 << 36) - 1;

/// Ledger key of the zero page, on a kernel that takes no pin on it. `keys` are those
/// of `file` and maybe others.
pub(super) fn uncounted(keys: &HashSet<u64>, file: &[u8]) -> io::Result<Option<u64>> {
    let zero = zero_pages()?;
    match key(keys, file, &zero) {
        Some(key) if !counts(&zero)? => Ok(Some(key)),
        Some(_) | None => Ok(None),
    }
}

/// The key under which the ledger would keep the zero page. Frame numbers and
/// keys differ by a constant, which the pages just pinned give away.
fn key(keys: &HashSet<u64>, file: &[u8], zero: &[u8]) -> Option<u64> {
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
fn frames(pages: &[u8]) -> Option<Vec<u64>> {
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
fn counts(pages: &[u8]) -> io::Result<bool> {
    for _ in 0..3 {
        let before = acquired()?;
        read_across(pages)?;
        if acquired()?.saturating_sub(before) < PAGES as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pages that the kernel counts as pinned, ever.
pub(super) fn acquired() -> io::Result<u64> {
    vmstat::refresh();
    PinCounts::read()
        .map(|it| it.acquired)
        .map_err(io::Error::other)
}
