//! The kernel's own asynchronous I/O (what libaio calls), by its system calls: one read at a time.
//! It polls nothing and cancels nothing.

use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;

use anyhow::{Result, ensure};

use super::mapping::Span;

const READ: u16 = 0;

/// `struct iocb`, little-endian.
#[repr(C)]
#[derive(Default)]
struct Order {
    data: u64,
    key: u32,
    rw_flags: u32,
    code: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    notify: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct Done {
    data: u64,
    order: u64,
    result: i64,
    result2: i64,
}

/// A context with room for one request; ended when dropped.
#[derive(Debug)]
pub(crate) struct Context(u64);

impl Context {
    /// Makes one.
    pub(crate) fn new() -> Result<Self> {
        let mut context = 0_u64;
        // SAFETY: the kernel fills the one word.
        let answer = unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) };
        ensure!(answer == 0, "io_setup failed: {}", Error::last_os_error());
        Ok(Self(context))
    }

    /// Reads from the start of `source` into all of `into`; says how many bytes came.
    pub(crate) fn read(&self, source: &File, into: Span) -> Result<usize> {
        self.submit(source, 0, into)?;
        self.wait()
    }

    /// Has `into` be filled from `source`, beginning at `offset`, which must be there until [`Self::wait`]
    /// has come back.
    pub(crate) fn submit(&self, source: &File, offset: u64, into: Span) -> Result<()> {
        let mut order = Order {
            code: READ,
            file: source.as_raw_fd().cast_unsigned(),
            buffer: into.address as u64,
            length: into.length as u64,
            offset: i64::try_from(offset)?,
            ..Order::default()
        };
        let orders = [&raw mut order];
        // SAFETY: one order, as announced; the kernel checks the range that it names.
        let taken = unsafe { libc::syscall(libc::SYS_io_submit, self.0, 1, orders.as_ptr()) };
        ensure!(taken == 1, "io_submit failed: {}", Error::last_os_error());
        Ok(())
    }

    /// Waits for that; says how many bytes came.
    pub(crate) fn wait(&self) -> Result<usize> {
        let mut done = Done::default();
        let forever = std::ptr::null::<libc::timespec>();
        // SAFETY: room for one event, as announced.
        let came =
            unsafe { libc::syscall(libc::SYS_io_getevents, self.0, 1, 1, &raw mut done, forever) };
        ensure!(came == 1, "io_getevents failed: {}", Error::last_os_error());
        ensure!(
            done.result >= 0,
            "an asynchronous read failed: {}",
            Error::from_raw_os_error(-(done.result as i32))
        );
        Ok(usize::try_from(done.result)?)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nothing is under way in it. A failure would only keep it until the process ends.
        let _ends_with_us = unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}
