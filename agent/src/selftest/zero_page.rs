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
/// of `file` and of nothing else.
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
    let shift = shift(keys, &frames(file)?)?;
    let zero_frames = frames(zero)?;
    let frame = *zero_frames.first()?;
    zero_frames
        .iter()
        .all(|it| *it == frame)
        .then_some(frame.wrapping_add(shift) & KEY_MASK)
}

/// By how much keys are above frame numbers. `None` where it may be more than one number: a row of
/// frames fits into any longer row of keys.
fn shift(keys: &HashSet<u64>, frames: &[u64]) -> Option<u64> {
    let first = *frames.first()?;
    let of_all = |shift: &u64| {
        let key = |frame: &u64| frame.wrapping_add(*shift) & KEY_MASK;
        frames.iter().all(|frame| keys.contains(&key(frame)))
    };
    let mut shifts = keys
        .iter()
        .map(|key| key.wrapping_sub(first))
        .filter(of_all);
    let found = shifts.next()?;
    shifts.next().is_none().then_some(found)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_frames_where_nothing_else_fits() {
        let frames = [7, 9, 8, 100];
        let keys = HashSet::from([1_007, 1_008, 1_009, 1_100]);
        assert_eq!(shift(&keys, &frames), Some(1_000));
        // Keys wrap.
        let keys = frames.map(|it: u64| it.wrapping_sub(50) & KEY_MASK);
        let found = shift(&HashSet::from(keys), &frames).unwrap();
        assert_eq!(found.wrapping_add(100) & KEY_MASK, 50);
    }

    #[test]
    fn a_row_of_frames_that_fits_in_two_places_tells_nothing() {
        let keys: HashSet<u64> = (1_000..1_003).chain(2_000..2_002).collect();
        assert_eq!(shift(&keys, &[10, 11]), None);
        assert_eq!(shift(&keys, &[10, 11, 12]), Some(990));
        assert_eq!(shift(&keys, &[5, 7]), Some(995));
        assert_eq!(shift(&HashSet::new(), &[5]), None);
        assert_eq!(shift(&keys, &[]), None);
    }
}
