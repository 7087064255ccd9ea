//! The files that a workload maps and reads: made full of bytes, removed at the end.
//! Which file system they lie on is the caller's choice, within reason.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Error, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use lab::page::page_bytes;

/// File systems that never write back, so that no workload here means anything on them.
const NO_WRITEBACK: [(i64, &str); 3] = [
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
];

/// How the file comes into the page cache. Where the file system has large folios, the
/// size of a write decides how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Folios {
    /// Written page by page: each page is a folio of its own.
    Small,
    /// Written in pieces of 1 MiB: as large as the kernel makes them.
    Large,
}

impl Folios {
    fn write_size(self) -> usize {
        match self {
            Self::Small => page_bytes(),
            Self::Large => 1 << 20,
        }
    }
}

/// A file with its blocks allocated, removed when dropped.
#[derive(Debug)]
pub(crate) struct WorkFile {
    /// Open for reading and writing through the page cache.
    pub(crate) file: File,
    path: PathBuf,
    /// Whether it was there before, and stays.
    anothers: bool,
}

impl WorkFile {
    /// A file that is there already and has at least `bytes` bytes; it is not removed.
    pub(crate) fn open(path: &Path, bytes: usize) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        let length = file.metadata()?.len();
        ensure!(
            length >= bytes as u64,
            "{} has {length} bytes, {bytes} are needed",
            path.display()
        );
        Ok(Self {
            file,
            path: path.to_owned(),
            anothers: true,
        })
    }

    /// Makes `dir/pinscope-workload-PID-NAME` with `bytes` bytes that are on the disk
    /// and clean when this returns.
    pub(crate) fn make(dir: &Path, name: &str, bytes: usize, folios: Folios) -> Result<Self> {
        refuse_without_writeback(dir)?;
        let path = dir.join(format!("pinscope-workload-{}-{name}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        // Owned from here on, so that a failure below removes the file.
        let mut made = Self {
            file,
            path,
            anothers: false,
        };
        made.fill(bytes, folios)
            .with_context(|| format!("{} cannot be filled", made.path.display()))?;
        Ok(made)
    }

    fn fill(&mut self, bytes: usize, folios: Folios) -> Result<()> {
        let block = vec![0x5a_u8; folios.write_size()];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(block.len());
            self.file.write_all(&block[..now])?;
            left -= now;
        }
        self.file.sync_all()?;
        Ok(())
    }

    /// A second descriptor of the same file that bypasses the page cache.
    pub(crate) fn open_direct(&self) -> Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(&self.path)
            .with_context(|| format!("{} cannot be opened with O_DIRECT", self.path.display()))
    }
}

impl Drop for WorkFile {
    fn drop(&mut self) {
        if self.anothers {
            return;
        }
        // Nobody is left to hear of a failure, and the name says whose file it was.
        let _ignored = std::fs::remove_file(&self.path);
    }
}

fn refuse_without_writeback(dir: &Path) -> Result<()> {
    let path = CString::new(dir.as_os_str().as_bytes())?;
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends in NUL and the buffer is of the type that statfs fills.
    let answer = unsafe { libc::statfs(path.as_ptr(), facts.as_mut_ptr()) };
    ensure!(
        answer == 0,
        "{} cannot be used: {}",
        dir.display(),
        Error::last_os_error()
    );
    // SAFETY: statfs answered 0, so it filled the buffer.
    let facts = unsafe { facts.assume_init() };
    let known = NO_WRITEBACK
        .iter()
        .find(|(magic, _)| *magic == facts.f_type);
    if let Some((_, name)) = known {
        anyhow::bail!(
            "{} is on {name}, which writes nothing back; give a directory on ext4, xfs or btrfs with --dir",
            dir.display()
        );
    }
    Ok(())
}
