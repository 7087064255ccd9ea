//! The file systems that every guest has, as far as its kernel knows them; leaves out disks, and
//! `/tmp`: the root is in memory already, and a mount would hide what was copied there.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Context as _;
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

/// Type and place, in the order in which they must come.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("securityfs", "/sys/kernel/security"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
    ("configfs", "/sys/kernel/config"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("hugetlbfs", "/dev/hugepages"),
];

/// Mounts them all. A file system that this kernel was built without is left out.
pub fn mount_all() -> anyhow::Result<()> {
    for (file_system, at) in MOUNTS {
        // sysfs makes the places of those that the kernel knows, and refuses others.
        if !Path::new(at).exists() && fs::create_dir_all(at).is_err() {
            continue;
        }
        match mount(*file_system, *at, *file_system, MountFlags::empty(), None) {
            Ok(()) | Err(Errno::NODEV | Errno::BUSY) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot mount {at}")),
        }
    }
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777))
        .context("cannot open /tmp to everybody")
}

/// Takes them away again, for an init that mounts its own.
pub fn unmount_all() -> anyhow::Result<()> {
    for (_, at) in MOUNTS.iter().rev() {
        // Lazily, because the console is open below /dev.
        match unmount(*at, UnmountFlags::DETACH) {
            // Never mounted, for want of a place or of the kernel's support.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot unmount {at}")),
        }
    }
    Ok(())
}
