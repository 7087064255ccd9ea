//! The kernel's own two counters of pins, `nr_foll_pin_acquired` and `nr_foll_pin_released`,
//! brought up to date before they are read. It knows of no pin by itself.

use std::fs;
use std::ops::Sub;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// Both counters at one moment, or their growth between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PinCounters {
    /// Pins that were taken.
    pub acquired: u64,
    /// Pins that were given back.
    pub released: u64,
}

impl PinCounters {
    /// Reads both. Each CPU keeps up to 125 counts back for itself, so they are
    /// folded first by a read of `vm.stat_refresh`.
    pub fn read() -> Result<Self> {
        fs::read("/proc/sys/vm/stat_refresh")
            .context("/proc/sys/vm/stat_refresh cannot be read (are you root?)")?;
        let text = fs::read_to_string("/proc/vmstat").context("/proc/vmstat cannot be read")?;
        Ok(Self {
            acquired: value(&text, "nr_foll_pin_acquired")?,
            released: value(&text, "nr_foll_pin_released")?,
        })
    }
}

/// How long a kernel worker may take to give pins back.
const PATIENCE: Duration = Duration::from_secs(30);

impl PinCounters {
    /// What is pinned, or by how much that grew.
    pub fn outstanding(self) -> u64 {
        self.acquired.wrapping_sub(self.released)
    }

    /// Comes back when `pages` more pages have been released than at this moment; for releases
    /// that the kernel leaves to a worker.
    pub fn wait_for_release(self, pages: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let released = (Self::read()? - self).released;
            if released >= pages {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{released} of {pages} pages were released within {PATIENCE:?}");
            }
            std::thread::yield_now();
        }
    }
}

impl Sub for PinCounters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            acquired: self.acquired.wrapping_sub(earlier.acquired),
            released: self.released.wrapping_sub(earlier.released),
        }
    }
}

fn value(text: &str, name: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("/proc/vmstat has no {name}: a kernel before 5.8"))?;
    line.parse()
        .with_context(|| format!("/proc/vmstat: {name} is not a number: {line}"))
}
