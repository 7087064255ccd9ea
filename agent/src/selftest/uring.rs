//! An io_uring with one fixed buffer: a pin that lasts, and the one thing that any
//! process may have pinned for long (`FOLL_LONGTERM`). It submits nothing.

use std::{
    io::{self, Error},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// `IORING_REGISTER_BUFFERS` and its opposite, include/uapi/linux/io_uring.h.
const REGISTER: libc::c_uint = 0;
const UNREGISTER: libc::c_uint = 1;

/// A ring whose fixed buffer is pinned.
pub(super) struct FixedBuffer(OwnedFd);

impl FixedBuffer {
    /// Pins all of `pages`, which have to stay for as long as this lives.
    pub(super) fn register(pages: &mut [u8]) -> io::Result<Self> {
        // `struct io_uring_params`, 120 bytes; all zero stands for the defaults.
        let mut parameters = [0_u32; 30];
        // SAFETY: the kernel fills the structure, which is as long as it expects.
        let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
        let Ok(fd @ 0..) = i32::try_from(made) else {
            return Err(Error::last_os_error());
        };
        // SAFETY: the kernel has just given it to us alone.
        let ring = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let buffer = libc::iovec {
            iov_base: pages.as_mut_ptr().cast(),
            iov_len: pages.len(),
        };
        ring.ask(REGISTER, &raw const buffer, 1)?;
        Ok(ring)
    }

    /// Gives them back, before the call returns.
    pub(super) fn unregister(self) -> io::Result<()> {
        self.ask(UNREGISTER, ptr::null(), 0)
    }

    fn ask(
        &self,
        what: libc::c_uint,
        buffers: *const libc::iovec,
        count: libc::c_uint,
    ) -> io::Result<()> {
        // SAFETY: as many vectors as said, which outlive the call.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.0.as_raw_fd(),
                what,
                buffers,
                count,
            )
        };
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::last_os_error())
        }
    }
}
