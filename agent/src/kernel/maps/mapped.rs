//! A BPF array mapped into the agent. The kernel reads and writes on meanwhile,
//! so every access is to one atomic word, and nobody makes a reference to its bytes.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use bytemuck::Pod;
use memmap2::{MmapOptions, MmapRaw};

use crate::error::AgentError;

/// The array's values, side by side, to be read.
pub(crate) struct Mapped(MmapRaw);

/// The same, to be changed as well.
pub(crate) struct Shared(Mapped);

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

    /// One that no kernel changes.
    #[cfg(test)]
    pub(super) fn anonymous(bytes: usize) -> Self {
        let memory = memmap2::MmapMut::map_anon(bytes).unwrap();
        Self(MmapRaw::from(memory))
    }

    /// Changes a word of such a one.
    #[cfg(test)]
    pub(super) fn store(&self, offset: usize, word: u64) {
        self.word(offset).store(word, Ordering::Release);
    }

    /// The word at a byte offset, a multiple of 8 inside the array.
    pub(crate) fn read(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Words side by side, each read by itself.
    pub(super) fn words<const N: usize>(&self, offset: usize) -> [u64; N] {
        assert!(offset.is_multiple_of(8) && offset + N * 8 <= self.0.len());
        let first = self.0.as_mut_ptr().wrapping_add(offset).cast::<u64>();
        std::array::from_fn(|index| {
            // SAFETY: as in `word`, for each of them.
            let word = unsafe { AtomicU64::from_ptr(first.wrapping_add(index)) };
            word.load(Ordering::Acquire)
        })
    }

    /// A value of the array, each of its words read by itself.
    pub(crate) fn copy<T: Pod>(&self, offset: usize) -> T {
        let mut value = T::zeroed();
        let words = bytemuck::bytes_of_mut(&mut value).chunks_exact_mut(8);
        for (index, bytes) in words.enumerate() {
            bytes.copy_from_slice(&self.read(offset + index * 8).to_ne_bytes());
        }
        value
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.0.len());
        let at = self.0.as_mut_ptr().wrapping_add(offset);
        // SAFETY: in bounds and aligned, see above; mapped for as long as `self`
        // lives. Of memory that is mapped to be read only, words are only loaded.
        unsafe { AtomicU64::from_ptr(at.cast()) }
    }
}

impl Shared {
    pub(crate) fn new(
        data: &MapData,
        name: &'static str,
        bytes: usize,
    ) -> Result<Self, AgentError> {
        Self::of(data.fd(), bytes).map_err(|it| unmapped(name, &it))
    }

    /// One that no kernel has.
    #[cfg(test)]
    pub(super) fn anonymous(bytes: usize) -> Self {
        Self(Mapped::anonymous(bytes))
    }

    /// The array behind a descriptor.
    pub(crate) fn of(map: impl AsFd, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new()
            .len(bytes)
            .map_raw(map.as_fd().as_raw_fd())?;
        Ok(Self(Mapped(map)))
    }

    /// The word at a byte offset, a multiple of 8 inside the array.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        self.0.word(offset)
    }

    /// A value of the array, each of its words read by itself.
    pub(crate) fn copy<T: Pod>(&self, offset: usize) -> T {
        self.0.copy(offset)
    }

    /// Writes a value, each of its words by itself.
    pub(crate) fn write<T: Pod>(&self, offset: usize, value: &T) {
        for (index, bytes) in bytemuck::bytes_of(value).chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            self.word(offset + index * 8).store(word, Ordering::Release);
        }
    }
}
