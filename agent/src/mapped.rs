//! A BPF array mapped read-only. The kernel writes on while we read, so every
//! read is of one atomic word.

use std::{
    os::fd::{AsFd, AsRawFd},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::MapData;
use memmap2::{Mmap, MmapOptions};

use crate::error::AgentError;

/// The array's values, side by side.
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub(crate) fn new(
        data: &MapData,
        name: &'static str,
        bytes: usize,
    ) -> Result<Self, AgentError> {
        let fd = data.fd().as_fd().as_raw_fd();
        // SAFETY: the kernel backs the mapping, nothing truncates a BPF map, and
        // its bytes are read as atomics only.
        unsafe { MmapOptions::new().len(bytes).map(fd) }
            .map(Self)
            .map_err(|it| AgentError::Map {
                name,
                reason: format!("cannot map it: {it}"),
            })
    }

    /// The word at a byte offset, which the caller computes from the array's own
    /// type: a multiple of 8 inside it.
    pub(crate) fn u64_at(&self, offset: usize) -> u64 {
        let bytes = &self.0[offset..offset + size_of::<u64>()];
        // SAFETY: in bounds; the mapping is page-aligned and the offset a
        // multiple of 8, which every field of the array's types is.
        let word = unsafe { AtomicU64::from_ptr(bytes.as_ptr().cast_mut().cast()) };
        word.load(Ordering::Acquire)
    }

    /// The half word at a byte offset, a multiple of 4.
    pub(crate) fn u32_at(&self, offset: usize) -> u32 {
        let bytes = &self.0[offset..offset + size_of::<u32>()];
        // SAFETY: as above, for multiples of 4.
        let word = unsafe { AtomicU32::from_ptr(bytes.as_ptr().cast_mut().cast()) };
        word.load(Ordering::Acquire)
    }
}
