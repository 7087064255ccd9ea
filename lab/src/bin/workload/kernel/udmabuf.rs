//! A dma-buf over a memfd: the kernel pins the memfd's folios until the dma-buf is closed.
//! It needs `/dev/udmabuf`, and pins only on kernels that have `memfd_pin_folios()`.

use std::fs::File;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Result, ensure};

use super::device;
use super::memfd;

const DEVICE: &str = "/dev/udmabuf";
/// `_IOW('u', 0x42, struct udmabuf_create)`.
const UDMABUF_CREATE: libc::Ioctl = 0x4018_7542;

#[repr(C)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// The dma-buf and the memory behind it.
#[derive(Debug)]
pub(crate) struct DmaBuf {
    _buffer: OwnedFd,
    _memory: File,
}

impl DmaBuf {
    /// Makes `bytes` bytes of memory and pins them.
    pub(crate) fn make(bytes: usize) -> Result<Self> {
        let memory = memfd::make(c"workload", bytes)?;
        Ok(Self {
            _buffer: pin(&memory, bytes)?,
            _memory: memory,
        })
    }
}

/// Pins the first `bytes` bytes of a memfd, until the last descriptor of what this gives is closed.
pub(crate) fn pin(memory: &File, bytes: usize) -> Result<OwnedFd> {
    let device = device::open(DEVICE)?;
    seal(memory)?;
    let order = Create {
        memfd: memory.as_raw_fd().cast_unsigned(),
        flags: 0,
        offset: 0,
        size: bytes as u64,
    };
    // SAFETY: the argument is the structure that this request takes.
    let buffer = unsafe { libc::ioctl(device.as_raw_fd(), UDMABUF_CREATE, &raw const order) };
    ensure!(
        buffer >= 0,
        "UDMABUF_CREATE of {bytes} bytes failed: {}",
        Error::last_os_error()
    );
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(buffer) })
}

/// The driver takes only memory that can no longer shrink.
fn seal(memory: &File) -> Result<()> {
    // SAFETY: the call takes a number only.
    let sealed = unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) };
    ensure!(
        sealed == 0,
        "a memfd cannot be sealed: {}",
        Error::last_os_error()
    );
    Ok(())
}
