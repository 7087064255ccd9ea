//! A file of the web configuration, read again when it may have changed: each request asks whether it
//! has, and is not to pay for reading it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::kernel::small_file;

/// Two changes that come so soon one after the other may have the same time, on a file system that
/// keeps it in seconds.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// No configuration, certificate or key is larger.
const MOST_BYTES: u64 = 1 << 20;

/// What differs when a file has changed, unless it does so at once again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: [i64; 2],
    changed: [i64; 2],
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let of = fs::metadata(path)?;
        Ok(Self {
            device: of.dev(),
            inode: of.ino(),
            size: of.size(),
            modified: [of.mtime(), of.mtime_nsec()],
            changed: [of.ctime(), of.ctime_nsec()],
        })
    }

    /// Whether whatever changes after `now` has another one.
    fn is_settled(&self, now: SystemTime) -> bool {
        let [seconds, _] = self.changed;
        let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        now.duration_since(changed)
            .is_ok_and(|it| it > SETTLES_WITHIN)
    }
}

/// A file, as it was when it was read last, whatever came of it.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    pub(super) found: Result<Vec<u8>, String>,
    /// If it was there, and what is written to it later has another one.
    settled: Option<Stamp>,
}

impl Watched {
    pub(super) fn read(path: PathBuf) -> Self {
        // Before its bytes: what changes in between shows the next time.
        let stamp = Stamp::of(&path).ok();
        Self {
            found: small_file::read(&path, MOST_BYTES).map_err(|it| it.to_string()),
            settled: stamp.filter(|it| it.is_settled(SystemTime::now())),
            path,
        }
    }

    /// Whether something else is in it now.
    pub(super) fn has_changed(&mut self) -> bool {
        if self.settled.is_some() && Stamp::of(&self.path).ok() == self.settled {
            return false;
        }
        let now = Self::read(self.path.clone());
        let has_changed = now.found != self.found;
        if !has_changed {
            *self = now;
        }
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_not_read_again_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "a").unwrap();
        let mut watched = Watched::read(path.clone());
        assert_eq!(watched.settled, None, "it was written just now");
        assert!(!watched.has_changed());
        // As if it had been read later; that other bytes are remembered shows that none are read.
        watched.settled = Stamp::of(&path).ok();
        watched.found = Ok(b"b".to_vec());
        assert!(!watched.has_changed());
        fs::write(&path, "c").unwrap();
        watched.settled = watched.settled.map(|it| Stamp {
            modified: [0, 0],
            ..it
        });
        assert!(watched.has_changed());
    }

    #[test]
    fn a_file_that_comes_or_goes_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watched = Watched::read(path.clone());
        assert!(!watched.has_changed());
        fs::write(&path, "a").unwrap();
        assert!(watched.has_changed());
        watched = Watched::read(path.clone());
        watched.settled = Stamp::of(&path).ok();
        fs::remove_file(&path).unwrap();
        assert!(watched.has_changed());
    }

    #[test]
    fn a_time_is_settled_once_no_other_change_can_have_it() {
        let of = |seconds| Stamp {
            device: 1,
            inode: 1,
            size: 1,
            modified: [0, 0],
            changed: [seconds, 999_999_999],
        };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(of(97).is_settled(now));
        for recent in [98, 99, 100, 101, 5000] {
            assert!(!of(recent).is_settled(now), "{recent}");
        }
    }
}
