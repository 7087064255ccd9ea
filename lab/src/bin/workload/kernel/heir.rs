//! A child that inherits every descriptor and does nothing with them: what its parent left pinned
//! stays pinned for as long as it lives.

use std::io::{Error, Read};

use anyhow::{Result, ensure};

/// Leaves a child behind that lives until standard input ends. The caller must be the only thread
/// of its process, and should end next: until then both read the same standard input.
pub(crate) fn leave_behind() -> Result<()> {
    // SAFETY: with one thread there is no lock that the child could find taken.
    let answer = unsafe { libc::fork() };
    ensure!(answer >= 0, "fork failed: {}", Error::last_os_error());
    if answer == 0 {
        let mut rest = Vec::new();
        let _ends_either_way = std::io::stdin().read_to_end(&mut rest);
        // SAFETY: ends this process at once; nothing of the parent's is cleaned up twice.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}
