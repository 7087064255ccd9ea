//! A BPF array mapped into the agent. The kernel reads and writes on meanwhile,
//! so every access is to one atomic word.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};

use crate::error::AgentError;

/// The array's values, side by side, to be read.
pub(crate) struct Mapped(MmapRaw);

/// The same, to be changed as well.
pub(crate) struct Shared(MmapRaw);

fn word(mapping: &MmapRaw, offset: usize) -> &AtomicU64 {
    assert!(offset.is_multiple_of(8) && offset + 8 <= mapping.len());
    let at = mapping.as_ptr().wrapping_add(offset);
    // SAFETY: in bounds and aligned, see above; mapped for as long as `mapping` lives, and nobody
    // makes a reference to its bytes. What may only be read is only read.
    unsafe { AtomicU64::from_ptr(at.cast_mut().cast()) }
}

fn unmapped(name: &'static str, error: &io::Error) -> AgentError {
    AgentError::Map {
        name,
        reason: format!("cannot map it: {error}"),
    }
}

impl Mapped {
    pub(crate) fn new(
        data: &MapData,
        name: &'static str,
        bytes: usize,
    ) -> Result<Self, AgentError> {
        let fd = data.fd().as_fd().as_raw_fd();
        MmapOptions::new()
            .len(bytes)
            .map_raw_read_only(fd)
            .map(Self)
            .map_err(|it| unmapped(name, &it))
    }

    /// The word at a byte offset, which the caller computes from the array's own
    /// type: a multiple of 8 inside it.
    pub(crate) fn u64_at(&self, offset: usize) -> u64 {
        word(&self.0, offset).load(Ordering::Acquire)
    }
}

impl Shared {
    pub(crate) fn new(
        data: &MapData,
        name: &'static str,
        bytes: usize,
    ) -> Result<Self, AgentError> {
        let fd = data.fd().as_fd().as_raw_fd();
        MmapOptions::new()
            .len(bytes)
            .map_raw(fd)
            .map(Self)
            .map_err(|it| unmapped(name, &it))
    }

    /// The word at a byte offset, a multiple of 8 inside the array.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        word(&self.0, offset)
    }

    /// A value of the array, each of its words read by itself.
    pub(crate) fn copy<T: bytemuck::Pod>(&self, offset: usize) -> T {
        let mut value = T::zeroed();
        let words = bytemuck::bytes_of_mut(&mut value).chunks_exact_mut(8);
        for (index, bytes) in words.enumerate() {
            let word = self.word(offset + index * 8).load(Ordering::Acquire);
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        value
    }
}
