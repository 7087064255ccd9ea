//! An io_uring with fixed buffers: registering pins them for long (`FOLL_LONGTERM`).
//! What goes through its queues is in `uring_queue`.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use anyhow::{Result, bail, ensure};
use rustix::io::{FdFlags, fcntl_setfd};

use super::mapping::Span;

/// The most that one fixed buffer may have.
const BUFFER_LIMIT: usize = 1 << 30;
const REGISTER_BUFFERS: libc::c_uint = 0;
const UNREGISTER_BUFFERS: libc::c_uint = 1;
const REGISTER_BUFFERS_UPDATE: libc::c_uint = 16;
const REGISTER_CLONE_BUFFERS: libc::c_uint = 30;

/// An empty place.
const NOTHING: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

fn vector(span: Span) -> Result<libc::iovec> {
    ensure!(
        span.length <= BUFFER_LIMIT,
        "a fixed buffer is at most 1 GiB"
    );
    Ok(libc::iovec {
        iov_base: span.address as *mut libc::c_void,
        iov_len: span.length,
    })
}

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
        self.register_all(&[vector(span)?])
    }

    /// Pins `span` as the first of two fixed buffers; the second place is empty (Linux 5.13).
    pub(crate) fn register_first_of_two(&self, span: Span) -> Result<()> {
        self.register_all(&[vector(span)?, NOTHING])
    }

    fn register_all(&self, buffers: &[libc::iovec]) -> Result<()> {
        // SAFETY: so many vectors, as announced; the kernel checks the ranges.
        let answer = unsafe { self.ask(REGISTER_BUFFERS, buffers.as_ptr().cast(), buffers.len()) };
        let bytes: usize = buffers.iter().map(|it| it.iov_len).sum();
        ensure!(
            answer == 0,
            "io_uring: a fixed buffer of {bytes} bytes was refused: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// Takes over the fixed buffers of another ring, which stays as it is (Linux 6.12).
    pub(crate) fn take_over(&self, other: &Self) -> Result<()> {
        // `struct io_uring_clone_buffers`: whose, and the rest zero for all of them.
        let clone = [other.number(), 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: one structure, as long as the kernel expects.
        let answer = unsafe { self.ask(REGISTER_CLONE_BUFFERS, clone.as_ptr().cast(), 1) };
        ensure!(
            answer == 0,
            "io_uring: fixed buffers cannot be cloned: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// # Safety
    ///
    /// `argument` points to what the request reads: `many` of it, or as many bytes.
    unsafe fn ask(
        &self,
        request: libc::c_uint,
        argument: *const libc::c_void,
        many: usize,
    ) -> libc::c_long {
        // SAFETY: as the caller promises.
        unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.descriptor.as_raw_fd(),
                request,
                argument,
                many,
            )
        }
    }

    /// Releases the fixed buffer at once.
    pub(crate) fn unregister(&self) -> Result<()> {
        ensure!(self.release()?, "io_uring: there is no fixed buffer");
        Ok(())
    }

    /// Releases the fixed buffer at once, if there is one. Another process that has the ring may have
    /// done so.
    pub(crate) fn release(&self) -> Result<bool> {
        // SAFETY: this request takes no argument.
        let answer = unsafe { self.ask(UNREGISTER_BUFFERS, ptr::null(), 0) };
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
        self.update_place(0, &NOTHING)
    }

    /// Pins `span` as the fixed buffer of this place, which is empty (Linux 5.13).
    pub(crate) fn fill_place(&self, place: u64, span: Span) -> Result<()> {
        self.update_place(place, &vector(span)?)
    }

    fn update_place(&self, place: u64, buffer: &libc::iovec) -> Result<()> {
        // `struct io_uring_rsrc_update2`: from this place, one vector, no tags.
        let update = [place, ptr::from_ref(buffer) as u64, 0, 1];
        // SAFETY: the structure is as long as announced, and its vector is one.
        let answer = unsafe {
            self.ask(
                REGISTER_BUFFERS_UPDATE,
                update.as_ptr().cast(),
                size_of_val(&update),
            )
        };
        ensure!(
            answer == 1,
            "io_uring: the fixed buffer in place {place} cannot be changed: {}",
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
