//! Pins pages of a file in memory until standard input ends, and announces them as a workload does.
//! The workloads have files of names on disks only, which Linux does not pin for long.

use std::fs::File;
use std::io::{Error, Read, stdin};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, bail};

/// Bytes that are pinned: 16 pages.
const BYTES: usize = 16 * 4096;

const REGISTER_BUFFERS: libc::c_uint = 0;

/// Makes the file, pins it, and comes back once standard input has ended.
pub(crate) fn hold(path: &Path) -> Result<()> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.set_len(BYTES as u64)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, which no reference of Rust's leads to.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            BYTES,
            protection,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        bail!(
            "{} cannot be mapped: {}",
            path.display(),
            Error::last_os_error()
        );
    }
    let _ring = register(address)?;
    println!(
        r#"{{"phase":"held","counts":{{"pages_pinned":{}}}}}"#,
        BYTES / 4096
    );
    // The end is what is waited for, whatever comes before it.
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A ring that has the bytes there as its fixed buffer: longterm pins until it is closed.
fn register(address: *mut libc::c_void) -> Result<OwnedFd> {
    // `struct io_uring_params` is 120 bytes, all of them zero for the defaults.
    let mut parameters = [0_u32; 30];
    // SAFETY: the kernel fills the structure, which is as long as it expects.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    let ring = i32::try_from(ring)?;
    if ring < 0 {
        bail!("io_uring was refused: {}", Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    let ring = unsafe { OwnedFd::from_raw_fd(ring) };
    let buffer = libc::iovec {
        iov_base: address,
        iov_len: BYTES,
    };
    // SAFETY: one vector, as announced; the kernel checks the range.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_BUFFERS,
            &raw const buffer,
            1,
        )
    };
    if answer != 0 {
        bail!("the buffer was refused: {}", Error::last_os_error());
    }
    Ok(ring)
}
