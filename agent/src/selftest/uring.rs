//! An io_uring with one fixed buffer: a pin that lasts, and the one thing that any
//! process may have pinned for long (`FOLL_LONGTERM`). Or with a ring of buffers in
//! memory of ours. It submits nothing.

use std::{
    ffi::c_void,
    io::{self, Error},
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

use crate::kernel::sys::owned;

/// `IORING_REGISTER_BUFFERS`, `IORING_REGISTER_PBUF_RING` and their opposites,
/// include/uapi/linux/io_uring.h.
const REGISTER_BUFFERS: libc::c_uint = 0;
const UNREGISTER_BUFFERS: libc::c_uint = 1;
const REGISTER_BUFFER_RING: libc::c_uint = 22;
const UNREGISTER_BUFFER_RING: libc::c_uint = 23;

/// `struct io_uring_buf`.
const BUFFER_BYTES: usize = 16;

/// A ring that has something pinned.
pub(super) struct Pinning {
    ring: OwnedFd,
    what: What,
}

enum What {
    Buffer,
    BufferRing(BufferRing),
}

/// `struct io_uring_buf_reg`.
#[repr(C)]
struct BufferRing {
    address: u64,
    entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

impl Pinning {
    /// Pins all of `pages` as one fixed buffer; they have to stay for as long as this
    /// lives.
    pub(super) fn a_buffer(pages: &mut [u8]) -> io::Result<Self> {
        let ring = set_up()?;
        let buffer = libc::iovec {
            iov_base: pages.as_mut_ptr().cast(),
            iov_len: pages.len(),
        };
        ask(&ring, REGISTER_BUFFERS, (&raw const buffer).cast(), 1)?;
        let what = What::Buffer;
        Ok(Self { ring, what })
    }

    /// The same as a ring of buffers, empty (Linux 5.19).
    pub(super) fn a_buffer_ring(pages: &mut [u8]) -> io::Result<Self> {
        let ring = set_up()?;
        let buffers = BufferRing {
            address: pages.as_mut_ptr() as u64,
            entries: (pages.len() / BUFFER_BYTES) as u32,
            group: 0,
            flags: 0,
            reserved: [0; 3],
        };
        ask(&ring, REGISTER_BUFFER_RING, (&raw const buffers).cast(), 1)?;
        let what = What::BufferRing(buffers);
        Ok(Self { ring, what })
    }

    /// Releases them, before the call returns.
    pub(super) fn end(self) -> io::Result<()> {
        match &self.what {
            What::Buffer => ask(&self.ring, UNREGISTER_BUFFERS, ptr::null(), 0),
            What::BufferRing(buffers) => {
                let buffers = ptr::from_ref(buffers).cast();
                ask(&self.ring, UNREGISTER_BUFFER_RING, buffers, 1)
            }
        }
    }
}

fn set_up() -> io::Result<OwnedFd> {
    // `struct io_uring_params`, 120 bytes; all zero stands for the defaults.
    let mut parameters = [0_u32; 30];
    // SAFETY: the kernel fills the structure, which is as long as it expects.
    owned(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })
}

/// `about` is what the request takes, as often as said.
fn ask(
    ring: &OwnedFd,
    request: libc::c_uint,
    about: *const c_void,
    count: libc::c_uint,
) -> io::Result<()> {
    // SAFETY: the kernel reads as many structures as said, which outlive the call.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            request,
            about,
            count,
        )
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}
