//! `process_vm_readv` and `process_vm_writev`: the one system call that pins pages (`FOLL_PIN`)
//! on every kernel, for any memory, without a device. Which pages and for how long is the caller's.

use std::io::Error;

use anyhow::{Result, ensure};

use super::mapping::Span;

/// How many pages the kernel pins at once in one call (`PVM_MAX_KMALLOC_PAGES` bytes of
/// page pointers in `mm/process_vm_access.c`).
pub(crate) const PAGES_AT_ONCE: usize = 1024;

/// How few bytes are copied: the pins are what is wanted, and the kernel pins as many
/// pages as the far range has, however short the near one is.
pub(crate) const COPIED: usize = 8;

/// What the pinned pages are pinned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Access {
    /// The pages are only read.
    Read,
    /// The pages are written (`FOLL_WRITE`) and set dirty on release: the hazard.
    Write,
}

/// Pins all pages of `far` (at most [`PAGES_AT_ONCE`]) of this very process, copies
/// [`COPIED`] bytes between its start and `near`, and unpins. While the copy waits for
/// a fault on `near` the pins are held, and no lock is: `mmap_lock` is dropped before it.
pub(crate) fn pin_and_copy(access: Access, near: usize, far: Span) -> Result<()> {
    ensure!(
        far.pages() <= PAGES_AT_ONCE,
        "{} pages are too many for one call",
        far.pages()
    );
    let near = libc::iovec {
        iov_base: near as *mut libc::c_void,
        iov_len: COPIED,
    };
    let far = libc::iovec {
        iov_base: far.address as *mut libc::c_void,
        iov_len: far.length,
    };
    let own = std::process::id().cast_signed();
    let copied = match access {
        // SAFETY: the kernel checks both ranges; nobody has references into either.
        Access::Read => unsafe {
            libc::process_vm_readv(own, &raw const near, 1, &raw const far, 1, 0)
        },
        // SAFETY: the kernel checks both ranges; nobody has references into either.
        Access::Write => unsafe {
            libc::process_vm_writev(own, &raw const near, 1, &raw const far, 1, 0)
        },
    };
    ensure!(
        copied == COPIED.cast_signed(),
        "process_vm_{}v pinned nothing: {}",
        match access {
            Access::Read => "read",
            Access::Write => "write",
        },
        Error::last_os_error()
    );
    Ok(())
}
