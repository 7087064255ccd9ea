//! NUMA nodes: which one this process has its memory from.

use std::io::Error;

use anyhow::{Result, ensure};

/// Allocates from this node only, from now on and in children.
pub(crate) fn bind(node: u32) -> Result<()> {
    let Some(mask) = 1_u64.checked_shl(node) else {
        anyhow::bail!("node {node} is beyond what a workload asks for");
    };
    // SAFETY: the mask is one word, and said to be no longer.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_set_mempolicy,
            libc::MPOL_BIND,
            &raw const mask,
            u64::BITS + 1,
        )
    };
    ensure!(
        answer == 0,
        "memory cannot be taken from node {node} only: {}",
        Error::last_os_error()
    );
    Ok(())
}
