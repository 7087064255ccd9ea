//! What system calls return.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// What a system call returned, or its error.
pub(crate) fn checked(returned: libc::c_long) -> io::Result<libc::c_long> {
    match returned {
        0.. => Ok(returned),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The descriptor that a system call gave, or its error.
pub(crate) fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(checked(returned)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `ioctl(2)`.
///
/// # Safety
///
/// `argument` is what the request takes: a number, or the address of what it reads or writes,
/// which outlives the call.
pub(crate) unsafe fn ioctl(
    fd: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: usize,
) -> io::Result<libc::c_long> {
    // SAFETY: the caller's promise.
    let returned = unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) };
    checked(returned.into())
}
