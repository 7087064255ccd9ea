//! Memory mapped into this process: mapped, stored to, written back, thrown away.
//! It keeps addresses, never references: other threads and the kernel change the bytes.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

use super::huge_pool::GIGANTIC;
use lab::absent::absent;
use lab::page::{huge_page_bytes, page_bytes};

/// A range of mapped memory; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: usize,
    length: usize,
    /// What `mmap` gave, larger than the range where that had to be aligned.
    whole: (usize, usize),
}

/// Part of a mapping, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) address: usize,
    pub(crate) length: usize,
}

impl Span {
    /// How many 4 KiB pages it covers.
    pub(crate) fn pages(self) -> usize {
        self.length / page_bytes()
    }
}

impl Mapping {
    /// The first `length` bytes of a file, shared with everybody who maps it.
    pub(crate) fn shared(file: &File, length: usize) -> Result<Self> {
        Self::map(length, libc::MAP_SHARED, Some(file)).context("a shared mapping was refused")
    }

    /// The first `length` bytes of a file, copied on write.
    pub(crate) fn private(file: &File, length: usize) -> Result<Self> {
        Self::map(length, libc::MAP_PRIVATE, Some(file)).context("a private mapping was refused")
    }

    /// Memory without a file, in 4 KiB pages.
    pub(crate) fn anonymous(length: usize) -> Result<Self> {
        let mapping = Self::map(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, None)
            .context("an anonymous mapping was refused")?;
        // A kernel that has no other pages, as those of real time, does not know the advice.
        match mapping.advise(mapping.span(), libc::MADV_NOHUGEPAGE) {
            Err(error) if error.kind() != ErrorKind::InvalidInput => {
                Err(error).context("MADV_NOHUGEPAGE")
            }
            _advised_or_not_needed => Ok(mapping),
        }
    }

    /// Memory without a file that asks for transparent huge pages.
    pub(crate) fn transparent_huge(length: usize) -> Result<Self> {
        let mut mapping = Self::map(
            length + huge_page_bytes(),
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            None,
        )
        .context("an anonymous mapping was refused")?;
        mapping.address = mapping.address.next_multiple_of(huge_page_bytes());
        mapping.length = length;
        match mapping.advise(mapping.span(), libc::MADV_HUGEPAGE) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                Err(absent("this kernel has no transparent huge pages"))
            }
            advised => advised.context("MADV_HUGEPAGE").map(|()| mapping),
        }
    }

    /// Memory from the pool of hugetlb pages.
    pub(crate) fn hugetlb(length: usize) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        Self::map(length, flags, None)
            .context("a hugetlb mapping was refused (is /proc/sys/vm/nr_hugepages large enough?)")
    }

    /// Memory from the pool of hugetlb pages of 1 GiB.
    pub(crate) fn gigantic(length: usize) -> Result<Self> {
        let size = GIGANTIC.ilog2().cast_signed() << libc::MAP_HUGE_SHIFT;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | size;
        Self::map(length, flags, None).context("a mapping of hugetlb pages of 1 GiB was refused")
    }

    fn map(length: usize, flags: libc::c_int, file: Option<&File>) -> Result<Self> {
        let descriptor = file.map_or(-1, AsRawFd::as_raw_fd);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new range at an address that the kernel chooses.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, descriptor, 0) };
        ensure!(at != libc::MAP_FAILED, Error::last_os_error());
        Ok(Self {
            address: at as usize,
            length,
            whole: (at as usize, length),
        })
    }

    /// All of it.
    pub(crate) fn span(&self) -> Span {
        Span {
            address: self.address,
            length: self.length,
        }
    }

    /// `pages` pages from page `first` on, cut at the mapping's end.
    pub(crate) fn part(&self, first: usize, pages: usize) -> Span {
        let start = (first * page_bytes()).min(self.length);
        let length = (pages * page_bytes()).min(self.length - start);
        Span {
            address: self.address + start,
            length,
        }
    }

    /// Stores to one byte of every page of `span`; says how many pages that were.
    pub(crate) fn dirty(&self, span: Span, value: u8) -> u64 {
        for page in 0..span.pages() {
            let byte = (span.address + page * page_bytes()) as *mut u8;
            // SAFETY: spans come from `part` and `span`, so they lie inside the mapping.
            unsafe { byte.write_volatile(value) };
        }
        span.pages() as u64
    }

    /// Reads one byte of every page of `span`, so that each is mapped.
    pub(crate) fn touch(&self, span: Span) {
        for page in 0..span.pages() {
            let byte = (span.address + page * page_bytes()) as *const u8;
            // SAFETY: spans come from `part` and `span`, so they lie inside the mapping.
            let _value = unsafe { byte.read_volatile() };
        }
    }

    /// `msync(MS_SYNC)`: back when the pages are on the disk.
    pub(crate) fn sync(&self, span: Span) -> Result<()> {
        // SAFETY: msync changes no memory.
        let answer = unsafe {
            libc::msync(
                span.address as *mut libc::c_void,
                span.length,
                libc::MS_SYNC,
            )
        };
        ensure!(
            answer == 0,
            "msync of {} bytes failed: {}",
            span.length,
            Error::last_os_error()
        );
        Ok(())
    }

    /// Throws the page-table entries of `span` away; the next touch brings them back.
    pub(crate) fn forget(&self, span: Span) -> Result<()> {
        self.advise(span, libc::MADV_DONTNEED)
            .context("MADV_DONTNEED")
    }

    /// Asks for the pages of `span` to be reclaimed at once.
    pub(crate) fn page_out(&self, span: Span) -> Result<()> {
        self.advise(span, libc::MADV_PAGEOUT)
            .context("MADV_PAGEOUT")
    }

    /// Maps the same part of `file` over `span` anew: an unmap and a map in one step,
    /// so that no thread ever meets a hole.
    pub(crate) fn map_again(&self, file: &File, span: Span) -> Result<()> {
        let offset = libc::off_t::try_from(span.address - self.address)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let address = span.address as *mut libc::c_void;
        // SAFETY: the range replaced is inside this mapping, which nobody has references into.
        let at = unsafe {
            libc::mmap(
                address,
                span.length,
                access,
                flags,
                file.as_raw_fd(),
                offset,
            )
        };
        ensure!(
            at == address,
            "mapping a range again failed: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    fn advise(&self, span: Span, advice: libc::c_int) -> std::io::Result<()> {
        // SAFETY: the advices used keep the range mapped, and nobody has references into it.
        let answer =
            unsafe { libc::madvise(span.address as *mut libc::c_void, span.length, advice) };
        if answer == 0 {
            Ok(())
        } else {
            Err(Error::last_os_error())
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let (address, length) = self.whole;
        // SAFETY: the range was mapped by `map`, and the addresses die with this value.
        unsafe { libc::munmap(address as *mut libc::c_void, length) };
    }
}
