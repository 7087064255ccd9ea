//! Processes that are copies of this one, and what one may take out of another. What they do is the mode's.

use std::io::Error;
use std::os::fd::{OwnedFd, RawFd};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// From here on there are two. Gives the child in the parent, and nothing in the child, which must not
/// return to where its parent goes on but [`leave`]. The caller must be the only thread of its process.
pub(crate) fn fork() -> Result<Option<Pid>> {
    // SAFETY: with one thread there is no lock that the child could find taken.
    let answer = unsafe { libc::fork() };
    ensure!(answer >= 0, "fork failed: {}", Error::last_os_error());
    Ok(Pid::from_raw(answer))
}

/// Ends a child at once: nothing of its parent's is cleaned up twice.
pub(crate) fn leave() -> ! {
    // SAFETY: ends this process, and touches no memory of it.
    unsafe { libc::_exit(0) }
}

/// Lets this process's children be gone when they have ended, with nobody to wait for them.
pub(crate) fn wait_for_no_child() {
    // SAFETY: no handler is installed. It cannot fail for this signal.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// The open file that `process` has as `descriptor`. A message over a socket would not do for a ring: the kernel
/// refuses it (commit 705318a99a13).
pub(crate) fn taken_from(process: Pid, descriptor: RawFd) -> Result<OwnedFd> {
    let handle = pidfd_open(process, PidfdFlags::empty())
        .with_context(|| format!("process {process} is not there"))?;
    pidfd_getfd(&handle, descriptor, PidfdGetfdFlags::empty())
        .with_context(|| format!("descriptor {descriptor} of process {process} cannot be taken"))
}
