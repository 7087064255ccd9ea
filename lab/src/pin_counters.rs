//! The kernel's own two counters of pins, `nr_foll_pin_acquired` and `nr_foll_pin_released`,
//! brought up to date before they are read. It knows of no pin by itself.

use std::fs;
use std::io::{Read as _, Write as _};
use std::ops::Sub;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;
use serde::Serialize;

/// A read of this sysctl folds them; only root may.
const STAT_REFRESH: &str = "/proc/sys/vm/stat_refresh";

/// Where they are folded for others, in a system of the lab.
const FOLDER: &str = "/run/lab/fold-pin-counters";

/// Both counters at one moment, or their growth between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PinCounters {
    /// Pins that were taken.
    pub acquired: u64,
    /// Pins that were released.
    pub released: u64,
}

impl PinCounters {
    /// Reads both. Each CPU keeps up to 125 counts back for itself, so they are folded first.
    pub fn read() -> Result<Self> {
        fold()?;
        let text = fs::read_to_string("/proc/vmstat").context("/proc/vmstat cannot be read")?;
        Ok(Self {
            acquired: value(&text, "nr_foll_pin_acquired")?,
            released: value(&text, "nr_foll_pin_released")?,
        })
    }
}

/// The kernel folds them for root; for others [`fold_for_everybody`] does.
fn fold() -> Result<()> {
    if geteuid().is_root() {
        return fs::read(STAT_REFRESH)
            .map(drop)
            .with_context(|| format!("{STAT_REFRESH} cannot be read"));
    }
    let mut socket = UnixStream::connect(FOLDER)
        .with_context(|| format!("the pin counters are root's, and nobody serves {FOLDER}"))?;
    let answered = socket.read(&mut [0])?;
    ensure!(
        answered == 1,
        "{STAT_REFRESH} could not be read at {FOLDER}"
    );
    Ok(())
}

/// Folds the counters for whoever connects, for as long as this process lives: a workload may be
/// any user's.
pub fn fold_for_everybody() -> Result<()> {
    let folder = Path::new(FOLDER);
    let parent = folder.parent().context("a socket is in a folder")?;
    fs::create_dir_all(parent)?;
    // Of a process that served before; mostly there is none.
    let _none_before = fs::remove_file(folder);
    let listener =
        UnixListener::bind(folder).with_context(|| format!("{FOLDER} cannot be bound"))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o666))?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut socket: UnixStream = socket;
            if fold().is_ok() {
                // Whoever asked may be gone.
                let _ = socket.write(&[1]);
            }
        }
    });
    Ok(())
}

/// How long a kernel worker may take to release pins.
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
            thread::yield_now();
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
