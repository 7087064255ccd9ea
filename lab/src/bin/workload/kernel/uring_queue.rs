//! The queues of an io_uring: one read at a time, submitted and waited for.
//! It leaves out every other operation, and how fixed buffers come to be, which is the ring's.

use std::fs::File;
use std::io::{Error, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};

use super::mapping::Span;
use super::uring::Ring;
use lab::page::page_bytes;

const OP_READ_FIXED: u8 = 4;
const OP_READ: u8 = 22;
const ENTER_GETEVENTS: libc::c_uint = 1;
const OFFSET_ENTRIES: libc::off_t = 0x1000_0000;
/// `struct io_uring_sqe`.
const ENTRY: usize = 64;

/// Where things lie in the memory that a ring shares, in words of `struct io_uring_params`.
mod at {
    pub(super) const SUBMIT_TAIL: usize = 11;
    pub(super) const SUBMIT_MASK: usize = 12;
    pub(super) const SUBMIT_ARRAY: usize = 16;
    pub(super) const DONE_HEAD: usize = 20;
    pub(super) const DONE_TAIL: usize = 21;
    pub(super) const DONE_MASK: usize = 22;
    pub(super) const DONE_ENTRIES: usize = 25;
}

/// Both queues of a ring, mapped.
#[derive(Debug)]
pub(crate) struct Queues {
    ring: Ring,
    /// Both queues are in one mapping since Linux 5.4.
    queues: usize,
    entries: usize,
}

impl Queues {
    /// Maps them.
    pub(crate) fn of(ring: Ring) -> Result<Self> {
        let descriptor = ring.descriptor.as_raw_fd();
        Ok(Self {
            queues: shared(descriptor, 0)?,
            entries: shared(descriptor, OFFSET_ENTRIES)?,
            ring,
        })
    }

    /// Reads from the start of `source` into all of `into`; says how many bytes came.
    pub(crate) fn read(&self, source: &File, into: Span) -> Result<usize> {
        self.submit(OP_READ, source.as_raw_fd(), into);
        self.enter(1, 1)?;
        self.result()
    }

    /// Releases the fixed buffer of the ring, which lies there, while a read into it waits; then the
    /// read ends, and with it the buffer.
    pub(crate) fn release_in_flight(&self, buffer: Span) -> Result<()> {
        let (reader, mut writer) = std::io::pipe()?;
        self.submit(OP_READ_FIXED, reader.as_raw_fd(), buffer);
        self.enter(1, 0)?;
        self.ring.empty_place()?;
        writer.write_all(b"at last")?;
        self.enter(0, 1)?;
        self.result()?;
        // The place that is left.
        self.ring.unregister()
    }

    /// Puts the order to read into the queue.
    fn submit(&self, operation: u8, source: RawFd, into: Span) {
        let tail = self.word(at::SUBMIT_TAIL).load(Ordering::Relaxed);
        let slot = tail & self.word(at::SUBMIT_MASK).load(Ordering::Relaxed);
        let mut order = [0_u64; ENTRY / 8];
        order[0] = u64::from(operation) | u64::from(source.cast_unsigned()) << 32;
        order[2] = into.address as u64;
        order[3] = into.length as u64;
        let entry = self.entries + slot as usize * ENTRY;
        // SAFETY: the mapping has an entry for every slot below the mask.
        unsafe { (entry as *mut [u64; ENTRY / 8]).write_volatile(order) };
        self.array(slot).store(slot, Ordering::Relaxed);
        self.word(at::SUBMIT_TAIL)
            .store(tail.wrapping_add(1), Ordering::Release);
    }

    /// Has the kernel take orders from the queue, and waits until so many are done.
    fn enter(&self, orders: u32, done: u32) -> Result<()> {
        let nothing = std::ptr::null::<libc::c_void>();
        // SAFETY: so many orders lie in the queue; the kernel checks the ranges that they name.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.ring.descriptor.as_raw_fd(),
                orders,
                done,
                ENTER_GETEVENTS,
                nothing,
                0,
            )
        };
        ensure!(
            taken == i64::from(orders),
            "io_uring_enter gave {taken}: {}",
            Error::last_os_error()
        );
        Ok(())
    }

    /// How many bytes a read that is done has brought.
    fn result(&self) -> Result<usize> {
        let result = self.take_result()?;
        ensure!(
            result >= 0,
            "a read by io_uring failed: {}",
            Error::from_raw_os_error(-result)
        );
        Ok(usize::try_from(result)?)
    }

    fn take_result(&self) -> Result<i32> {
        let head = self.word(at::DONE_HEAD).load(Ordering::Relaxed);
        let tail = self.word(at::DONE_TAIL).load(Ordering::Acquire);
        ensure!(
            head != tail,
            "io_uring said nothing of a read that it waited for"
        );
        let slot = head & self.word(at::DONE_MASK).load(Ordering::Relaxed);
        let entry =
            self.queues + self.ring.parameters[at::DONE_ENTRIES] as usize + slot as usize * 16;
        // SAFETY: the mapping has an entry of 16 bytes for every slot below the mask.
        let result = unsafe { ((entry + 8) as *const i32).read_volatile() };
        self.word(at::DONE_HEAD)
            .store(head.wrapping_add(1), Ordering::Release);
        Ok(result)
    }

    fn array(&self, slot: u32) -> &AtomicU32 {
        self.at(self.ring.parameters[at::SUBMIT_ARRAY] as usize + slot as usize * 4)
    }

    fn word(&self, place: usize) -> &AtomicU32 {
        self.at(self.ring.parameters[place] as usize)
    }

    fn at(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset, of an aligned word inside the mapping.
        unsafe { AtomicU32::from_ptr((self.queues + offset) as *mut u32) }
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        for address in [self.queues, self.entries] {
            // SAFETY: mapped by `of` and used by nobody else. It cannot fail for such a range.
            unsafe { libc::munmap(address as *mut libc::c_void, page_bytes()) };
        }
    }
}

/// A page is enough for a ring of one entry.
fn shared(ring: RawFd, offset: libc::off_t) -> Result<usize> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new range at an address that the kernel chooses.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            page_bytes(),
            access,
            flags,
            ring,
            offset,
        )
    };
    ensure!(
        at != libc::MAP_FAILED,
        "the queues of an io_uring cannot be mapped: {}",
        Error::last_os_error()
    );
    Ok(at as usize)
}
