//! Room in the kernel's pool of hugetlb pages for as long as a workload needs it.
//! The pool is as large as before when this is dropped.

use std::fs;

use anyhow::{Context, Result, ensure};

const POOL: &str = "/proc/sys/vm/nr_hugepages";

/// Bytes of the largest huge page that a workload uses.
pub(crate) const GIGANTIC: usize = 1 << 30;

/// How many such pages are to be had.
pub(crate) fn free_gigantic() -> usize {
    let pool = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
    let text = fs::read_to_string(pool).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Pages added to the pool.
#[derive(Debug)]
pub(crate) struct HugePool {
    before: usize,
}

impl HugePool {
    /// Adds `pages` huge pages to the pool.
    pub(crate) fn reserve(pages: usize) -> Result<Self> {
        let before = size()?;
        let pool = Self { before };
        fs::write(POOL, (before + pages).to_string())
            .with_context(|| format!("{POOL} cannot be written"))?;
        let now = size()?;
        ensure!(
            now >= before + pages,
            "{POOL}: {pages} more huge pages were asked for, the kernel found {}",
            now.saturating_sub(before)
        );
        Ok(pool)
    }
}

impl Drop for HugePool {
    fn drop(&mut self) {
        // Nothing more can be done; the pool is a sysctl that its owner can set.
        let _ignored = fs::write(POOL, self.before.to_string());
    }
}

fn size() -> Result<usize> {
    let text = fs::read_to_string(POOL).with_context(|| format!("{POOL} cannot be read"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{POOL}: not a number: {text}"))
}
