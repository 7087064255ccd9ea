//! `/proc/PID/maps` and `/proc/PID/pagemap`: which frames a process maps.

use std::{fs, fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use super::folder;
use crate::kernel::sys::page_bytes;

/// Entries that are read at once.
const AT_ONCE: usize = 1 << 15;

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// Where the kernel maps pages of its own for everybody.
const OF_THE_KERNEL: [&str; 3] = ["[vsyscall]", "[vvar]", "[vvar_vclock]"];

/// Calls `see` with each frame that a process maps.
pub(super) fn frames(pid: u32, see: &mut dyn FnMut(u64)) -> io::Result<()> {
    let folder = folder::of(pid);
    // Opened first: if the process ends and its id is another's, this stays the old one's.
    let pagemap = File::open(folder.join("pagemap"))?;
    let maps = fs::read(folder.join("maps"))?;
    let mut bytes = vec![0; AT_ONCE * 8];
    for range in maps.split(|it| *it == b'\n').filter_map(range) {
        let Range {
            start: mut next,
            end,
        } = pages(&range, page_bytes());
        while next < end {
            let pages = (end - next).min(AT_ONCE as u64);
            let part = &mut bytes[..pages as usize * 8];
            let got = pagemap.read_at(part, next * 8)?;
            if got < 8 {
                break;
            }
            for entry in part[..got].as_chunks::<8>().0 {
                let entry = u64::from_ne_bytes(*entry);
                if entry & PRESENT != 0 {
                    see(entry & FRAME);
                }
            }
            next += got as u64 / 8;
        }
    }
    Ok(())
}

/// Entries of `pagemap` for addresses.
fn pages(addresses: &Range<u64>, page_bytes: u64) -> Range<u64> {
    addresses.start / page_bytes..addresses.end / page_bytes
}

/// The addresses of a line of `maps`.
fn range(line: &[u8]) -> Option<Range<u64>> {
    let line = String::from_utf8_lossy(line);
    if OF_THE_KERNEL.iter().any(|it| line.ends_with(it)) {
        return None;
    }
    let (first, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    Some(u64::from_str_radix(first, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

/// Whether frames are shown to this process: to others they read as 0.
pub(super) fn are_shown() -> bool {
    let mut shown = false;
    let own = std::process::id();
    let done = frames(own, &mut |frame| shown |= frame != 0);
    done.is_ok() && shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_entry_for_each_page_whatever_a_page_is() {
        let addresses = 0x7f1c_2a00_0000..0x7f1c_2a02_0000;
        for (page_bytes, entries) in [(4 << 10, 32), (16 << 10, 8), (64 << 10, 2)] {
            let pages = pages(&addresses, page_bytes);
            assert_eq!(pages.end - pages.start, entries);
            assert_eq!(pages.start * page_bytes, addresses.start);
        }
    }

    #[test]
    fn mappings_have_addresses_and_those_of_the_kernel_are_left_out() {
        let line = b"7f1c2a000000-7f1c2a021000 rw-s 00000000 00:05 1024  /dev/zero (deleted)";
        assert_eq!(range(line), Some(0x7f1c_2a00_0000..0x7f1c_2a02_1000));
        assert_eq!(range(b"7ffd1-7ffd3 r-xp 00000000 00:00 0    [vvar]"), None);
        assert_eq!(range(b""), None);
    }
}
