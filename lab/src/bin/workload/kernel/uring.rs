//! An io_uring with fixed buffers: registering pins them for long (`FOLL_LONGTERM`).
//! What goes through its queues is in `uring_queue`.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Result, bail, ensure};
use rustix::io::{FdFlags, fcntl_setfd};

use super::mapping::Span;

/// The most that one fixed buffer may have.
const BUFFER_LIMIT: usize = 1 << 30;
const REGISTER_BUFFERS: libc::c_uint = 0;
const UNREGISTER_BUFFERS: libc::c_uint = 1;
const REGISTER_BUFFERS_UPDATE: libc::c_uint = 16;

/// A ring; closing it releases its buffers, a little later, in a kernel worker.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(super) descriptor: OwnedFd,
    /// `struct io_uring_params` as the kernel filled it.
    pub(super) parameters: [u32; 30],
}

impl Ring {
    /// Makes the smallest ring.
    pub(crate) fn new() -> Result<Self> {
        // `struct io_uring_params` is 120 bytes, all of them zero for the defaults.
        let mut parameters = [0_u32; 30];
        // SAFETY: the kernel fills the structure, which is as long as it expects.
        let descriptor =
            unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
        if descriptor < 0 {
            bail!(
                "io_uring was refused: {} (see /proc/sys/kernel/io_uring_disabled)",
                Error::last_os_error()
            );
        }
        // SAFETY: a new descriptor that nobody else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor)?) };
        Ok(Self {
            descriptor,
            parameters,
        })
    }

    /// Pins `span` as the one fixed buffer.
    pub(crate) fn register(&self, span: Span) -> Result<()> {
        ensure!(
            span.length <= BUFFER_LIMIT,
            "a fixed buffer is at most 1 GiB"
        );
        let buffer = libc::iovec {
            iov_base: span.address as *mut libc::c_void,
            iov_len: span.length,
        };
        // SAFETY: one vector, as announced; the kernel checks the range.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.descriptor.as_raw_fd(),
                REGISTER_BUFFERS,
                &raw const buffer,
                1,
            )
        };
        ensure!(
            answer == 0,
            "io_uring: a fixed buffer of {} bytes was refused: {}",
            span.length,
            Error::last_os_error()
        );
        Ok(())
    }

    /// Releases the fixed buffer at once.
    pub(crate) fn unregister(&self) -> Result<()> {
        ensure!(self.release()?, "io_uring: there is no fixed buffer");
        Ok(())
    }

    /// Releases the fixed buffer at once, if there is one. Another process that has the ring may have
    /// done so.
    pub(crate) fn release(&self) -> Result<bool> {
        let nothing = std::ptr::null::<libc::iovec>();
        // SAFETY: this request takes no argument.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.descriptor.as_raw_fd(),
                UNREGISTER_BUFFERS,
                nothing,
                0,
            )
        };
        let error = Error::last_os_error();
        if answer < 0 && error.raw_os_error() == Some(libc::ENXIO) {
            return Ok(false);
        }
        ensure!(
            answer == 0,
            "io_uring: the fixed buffer cannot be released: {error}"
        );
        Ok(true)
    }

    /// Takes the fixed buffer out of its place; what a request uses stays pinned until that ends
    /// (Linux 5.13).
    pub(crate) fn empty_place(&self) -> Result<()> {
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        // `struct io_uring_rsrc_update2`: the first place, one vector, no tags.
        let update = [0, &raw const nothing as u64, 0, 1];
        // SAFETY: the structure is as long as announced, and its vector is one.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.descriptor.as_raw_fd(),
                REGISTER_BUFFERS_UPDATE,
                update.as_ptr(),
                size_of_val(&update),
            )
        };
        ensure!(
            answer == 1,
            "io_uring: the fixed buffer cannot be taken out: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// A program that this process executes has it, too.
    pub(crate) fn keep_in_exec(&self) -> Result<()> {
        Ok(fcntl_setfd(&self.descriptor, FdFlags::empty())?)
    }

    /// The number of its descriptor in this process.
    pub(crate) fn number(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl From<OwnedFd> for Ring {
    /// A ring that another process made; what is in its queues is not for this one.
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
            parameters: [0; 30],
        }
    }
}
