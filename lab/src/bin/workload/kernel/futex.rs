//! Futexes: to wake whoever waits on a word of shared memory, the kernel takes a reference on its page
//! (`FOLL_GET`) and puts it before the call returns. Nobody waits here.

use std::io::Error;

use anyhow::{Result, ensure};

use super::mapping::Span;

/// Wakes nobody, at the first word of `span`.
pub(crate) fn wake(span: Span) -> Result<()> {
    const ONE: libc::c_int = 1;
    // SAFETY: the kernel checks the address, and only asks whose page that is.
    let woken = unsafe { libc::syscall(libc::SYS_futex, span.address, libc::FUTEX_WAKE, ONE) };
    ensure!(
        woken == 0,
        "FUTEX_WAKE: {woken}, {}",
        Error::last_os_error()
    );
    Ok(())
}
