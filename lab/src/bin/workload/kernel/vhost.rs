//! A vhost device for vsock whose used rings are logged: the kernel marks each change of a ring's
//! page as dirty in the caller's memory, and pins that page while it does. No packet goes through it.

use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

use super::device;
use super::mapping::Mapping;
use lab::page::page_bytes;

const DEVICE: &str = "/dev/vhost-vsock";

/// Queues that the kernel serves: to the guest and from it.
pub(crate) const QUEUES: u32 = 2;

/// Entries of a queue; they lie in a page.
const ENTRIES: u32 = 16;

/// Pages of memory: the log, then for each queue its descriptors, available and used rings.
const PAGES: usize = 1 + QUEUES as usize * 3;

/// `_IO(0xaf, 1)`, and so on.
const SET_OWNER: libc::Ioctl = 0xaf01;
const SET_MEMORY: libc::Ioctl = 0x4008_af03;
const SET_LOG_BASE: libc::Ioctl = 0x4008_af04;
const SET_QUEUE_SIZE: libc::Ioctl = 0x4008_af10;
const SET_QUEUE_ADDRESS: libc::Ioctl = 0x4028_af11;
const SET_GUEST: libc::Ioctl = 0x4008_af60;
const SET_RUNNING: libc::Ioctl = 0x4004_af61;

/// `VHOST_VRING_F_LOG`.
const LOGGED: u32 = 1;

/// `struct vhost_memory` with one region.
#[repr(C)]
struct Memory {
    regions: u32,
    padding: u32,
    guest_address: u64,
    bytes: u64,
    address: u64,
    flags: u64,
}

/// `struct vhost_vring_state`.
#[repr(C)]
struct State {
    queue: u32,
    number: u32,
}

/// `struct vhost_vring_addr`.
#[repr(C)]
struct Addresses {
    queue: u32,
    flags: u32,
    descriptors: u64,
    used: u64,
    available: u64,
    log: u64,
}

/// The device and the memory that it works on.
#[derive(Debug)]
pub(crate) struct Vsock {
    device: File,
    _memory: Mapping,
}

impl Vsock {
    /// Opens it and gives it memory, queues and a log.
    pub(crate) fn open() -> Result<Self> {
        let device = device::open(DEVICE)?;
        let memory = Mapping::anonymous(PAGES * page_bytes())?;
        memory.dirty(memory.span(), 0);
        let vsock = Self {
            device,
            _memory: memory,
        };
        let start = vsock._memory.span().address as u64;
        vsock.ask(SET_OWNER, "an owner", std::ptr::null::<u8>())?;
        let memory = Memory {
            regions: 1,
            padding: 0,
            guest_address: 0,
            bytes: (PAGES * page_bytes()) as u64,
            address: start,
            flags: 0,
        };
        vsock.ask(SET_MEMORY, "memory", &raw const memory)?;
        vsock.ask(SET_LOG_BASE, "a log", &raw const start)?;
        for queue in 0..QUEUES {
            let size = State {
                queue,
                number: ENTRIES,
            };
            vsock.ask(SET_QUEUE_SIZE, "a queue's size", &raw const size)?;
            let page = |number: u64| (1 + u64::from(queue) * 3 + number) * page_bytes() as u64;
            let addresses = Addresses {
                queue,
                flags: LOGGED,
                descriptors: start + page(0),
                available: start + page(1),
                used: start + page(2),
                log: page(2),
            };
            vsock.ask(SET_QUEUE_ADDRESS, "a queue", &raw const addresses)?;
        }
        // Any address that no guest has.
        let guest = 3_u64 + u64::from(std::process::id());
        vsock.ask(SET_GUEST, "a guest's address", &raw const guest)?;
        Ok(vsock)
    }

    /// Starts it and stops it again. The start writes the flags of each used ring, and logs that.
    pub(crate) fn start_and_stop(&self) -> Result<()> {
        for running in [1_i32, 0] {
            self.ask(SET_RUNNING, "a start or stop", &raw const running)?;
        }
        Ok(())
    }

    fn ask<T>(&self, request: libc::Ioctl, what: &str, argument: *const T) -> Result<()> {
        // SAFETY: each request comes with the structure that it takes, or takes none.
        let answer = unsafe { libc::ioctl(self.device.as_raw_fd(), request, argument) };
        ensure!(
            answer == 0,
            "{DEVICE}: {what} was refused: {}",
            Error::last_os_error()
        );
        Ok(())
    }
}
