//! The size of a page of memory: what the kernel counts pins in.

/// In bytes: 4 KiB on x86-64 and on most kernels for arm64, and 16 or 64 KiB on others.
#[must_use]
pub fn page_bytes() -> usize {
    rustix::param::page_size()
}

/// A huge page, in bytes: as much as a page of page table entries, of 8 bytes each, leads to.
#[must_use]
pub fn huge_page_bytes() -> usize {
    page_bytes() * page_bytes() / 8
}
