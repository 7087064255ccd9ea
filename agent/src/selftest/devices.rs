//! Pins that last as long as a descriptor is open: a dma-buf of `/dev/udmabuf` over
//! memory of our own, and the memory of an `AF_XDP` socket that no packet goes
//! through. Either may be refused to this process.

use std::{
    fs::File,
    io::{self, Error},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::memory::{PAGES, bytes};
use crate::kernel::sys::{ioctl, owned, page_bytes};

const UDMABUF: &str = "/dev/udmabuf";

/// `_IOW('u', 0x43, struct udmabuf_create_list)`, include/uapi/linux/udmabuf.h.
const CREATE: libc::Ioctl = 0x4008_7543;

/// `struct udmabuf_create_list` and as many `struct udmabuf_create_item`.
#[repr(C)]
struct List {
    flags: u32,
    count: u32,
    items: [Item; PAGES],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Item {
    memory: u32,
    padding: u32,
    offset: u64,
    size: u64,
}

/// Memory that a dma-buf can be made of: it can no longer shrink.
pub(super) fn sealed_memory() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("pinscope-selftest", flags)?;
    ftruncate(&memory, bytes() as u64)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK)?;
    let memory = File::from(memory);
    memory.write_all_at(&vec![1; bytes()], 0)?;
    Ok(memory)
}

/// A dma-buf of these pages, each an item of its own: however large the folios are
/// that they lie in, each takes one pin.
pub(super) fn dma_buf(memory: &File) -> io::Result<OwnedFd> {
    let named = |error: Error| Error::new(error.kind(), format!("{UDMABUF}: {error}"));
    let device = File::open(UDMABUF).map_err(named)?;
    let item = |page| Item {
        memory: memory.as_raw_fd().cast_unsigned(),
        padding: 0,
        offset: page as u64 * page_bytes(),
        size: page_bytes(),
    };
    let list = List {
        flags: 1, // Closed at exec.
        count: PAGES as u32,
        items: std::array::from_fn(item),
    };
    // SAFETY: the kernel reads the structure that this request takes.
    let made = unsafe { ioctl(device.as_fd(), CREATE, (&raw const list) as usize) };
    made.and_then(owned).map_err(named)
}

/// `struct xdp_umem_reg` as every kernel since 4.18 takes it.
#[repr(C)]
struct Umem {
    address: u64,
    length: u64,
    chunk: u32,
    headroom: u32,
}

/// A socket with these pages as its memory, which have to stay for as long as it is
/// open. It is bound to nothing.
pub(super) fn xdp_socket(pages: &mut [u8]) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    let made = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let socket = owned(made.into())?;
    let memory = Umem {
        address: pages.as_mut_ptr() as u64,
        length: pages.len() as u64,
        chunk: page_bytes().min(4096) as u32,
        headroom: 0,
    };
    // SAFETY: the value is the structure that the option takes, as long as said.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_UMEM_REG,
            (&raw const memory).cast(),
            size_of::<Umem>() as libc::socklen_t,
        )
    };
    if failed == 0 {
        Ok(socket)
    } else {
        Err(Error::last_os_error())
    }
}
