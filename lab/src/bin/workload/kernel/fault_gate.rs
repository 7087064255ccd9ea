//! A gate made of page faults: memory at whose first touch a thread, in the kernel or not,
//! stops until the gate is dropped. Built on userfaultfd; it knows nothing of pins.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::mapping::Mapping;
use lab::page::page_bytes;

/// `_IOWR(0xaa, 0x3f, struct uffdio_api)` and `_IOWR(0xaa, 0, struct uffdio_register)`.
const UFFDIO_API: libc::Ioctl = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::Ioctl = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const REGISTER_MISSING: u64 = 1;
const EVENT_PAGEFAULT: u8 = 0x12;

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

/// `places` pages, at each of which one thread can be made to wait.
///
/// Dropping it opens the gate: the kernel then ends every wait, and the faults are
/// served as those of ordinary anonymous memory, so no waiter outlives a failure.
#[derive(Debug)]
pub(crate) struct FaultGate {
    descriptor: OwnedFd,
    /// The addresses of the places, until the memory is given away.
    first: usize,
}

impl FaultGate {
    /// Makes a gate and the memory that it guards; the memory must outlive every waiter.
    pub(crate) fn new(places: usize) -> Result<(Self, Mapping)> {
        let memory = Mapping::anonymous(places * page_bytes())?;
        Ok((Self::over(&memory)?, memory))
    }

    /// Makes every page of this memory a place that is not there yet; it must outlive every waiter.
    pub(crate) fn over(memory: &Mapping) -> Result<Self> {
        let descriptor = open()?;
        let span = memory.span();
        let mut api = Api {
            api: UFFD_API,
            features: 0,
            ioctls: 0,
        };
        // SAFETY: the argument is the structure that this request takes.
        let answer = unsafe { libc::ioctl(descriptor.as_raw_fd(), UFFDIO_API, &raw mut api) };
        ensure!(
            answer == 0,
            "userfaultfd: UFFDIO_API failed: {}",
            Error::last_os_error()
        );
        let mut range = Register {
            start: span.address as u64,
            length: span.length as u64,
            mode: REGISTER_MISSING,
            ioctls: 0,
        };
        // SAFETY: the argument is the structure that this request takes.
        let answer =
            unsafe { libc::ioctl(descriptor.as_raw_fd(), UFFDIO_REGISTER, &raw mut range) };
        ensure!(
            answer == 0,
            "userfaultfd: UFFDIO_REGISTER failed: {}",
            Error::last_os_error()
        );
        Ok(Self {
            descriptor,
            first: span.address,
        })
    }

    /// The address of a place.
    pub(crate) fn place(&self, number: usize) -> usize {
        self.first + number * page_bytes()
    }

    /// Comes back when a thread waits at each of `number` places.
    pub(crate) fn wait_for(&self, number: usize, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        for arrived in 0..number {
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.one_arrives(left)? {
                bail!("{arrived} of {number} threads reached the gate in {patience:?}");
            }
        }
        Ok(())
    }

    fn one_arrives(&self, patience: Duration) -> Result<bool> {
        let mut ready = libc::pollfd {
            fd: self.descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let patience = libc::c_int::try_from(patience.as_millis())?;
        // SAFETY: one descriptor, as announced.
        let answer = unsafe { libc::poll(&raw mut ready, 1, patience) };
        ensure!(
            answer >= 0,
            "userfaultfd: poll failed: {}",
            Error::last_os_error()
        );
        if answer == 0 {
            return Ok(false);
        }
        // `struct uffd_msg` is 32 bytes; its first says which event it is.
        let mut message = [0_u8; 32];
        let buffer = message.as_mut_ptr().cast();
        // SAFETY: the buffer is as long as announced.
        let got = unsafe { libc::read(self.descriptor.as_raw_fd(), buffer, message.len()) };
        ensure!(
            got == 32,
            "userfaultfd: read failed: {}",
            Error::last_os_error()
        );
        ensure!(
            message[0] == EVENT_PAGEFAULT,
            "userfaultfd: unexpected event {:#x}",
            message[0]
        );
        Ok(true)
    }
}

fn open() -> Result<OwnedFd> {
    // SAFETY: the call takes flags only.
    let descriptor = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    if descriptor < 0 {
        let why = Error::last_os_error();
        match why.raw_os_error() {
            Some(libc::EPERM) => bail!(
                "userfaultfd was refused: {why}; faults in the kernel need root (CAP_SYS_PTRACE) or vm.unprivileged_userfaultfd=1"
            ),
            Some(libc::ENOSYS) => bail!("this kernel has no userfaultfd (CONFIG_USERFAULTFD)"),
            _ => bail!("userfaultfd failed: {why}"),
        }
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor)?) })
}
