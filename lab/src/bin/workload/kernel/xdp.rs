//! The memory of an AF_XDP socket (its umem), which the kernel pins for long and for writing.
//! No packet ever goes through it.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Result, bail, ensure};

use super::mapping::Span;
use lab::page::page_bytes;

/// `struct xdp_umem_reg` as every kernel since 4.18 takes it.
#[repr(C)]
struct UmemReg {
    address: u64,
    length: u64,
    chunk_size: u32,
    headroom: u32,
}

/// A socket with its memory; closing it releases the memory, in a kernel worker.
#[derive(Debug)]
pub(crate) struct Umem {
    _socket: OwnedFd,
}

impl Umem {
    /// Pins `span`.
    pub(crate) fn register(span: Span) -> Result<Self> {
        // SAFETY: the call takes numbers only.
        let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if socket < 0 {
            bail!(
                "AF_XDP was refused: {} (root? CONFIG_XDP_SOCKETS?)",
                Error::last_os_error()
            );
        }
        // SAFETY: a new descriptor that nobody else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let registration = UmemReg {
            address: span.address as u64,
            length: span.length as u64,
            chunk_size: page_bytes() as u32,
            headroom: 0,
        };
        let size = libc::socklen_t::try_from(size_of::<UmemReg>())?;
        let option = &raw const registration;
        // SAFETY: the option's value is the structure that it takes, as long as announced.
        let answer = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_XDP,
                libc::XDP_UMEM_REG,
                option.cast(),
                size,
            )
        };
        ensure!(
            answer == 0,
            "AF_XDP: a umem of {} bytes was refused: {} (kernels since 6.5 refuse file pages)",
            span.length,
            Error::last_os_error()
        );
        Ok(Self { _socket: socket })
    }
}
