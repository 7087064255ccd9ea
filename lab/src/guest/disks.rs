//! Finds NVMe disks by their serial numbers, names and mounts them; leaves out making file systems.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, mount};

use super::job::Disk;

/// The kernel looks for disks on its own time, also when init already runs.
const APPEARS_WITHIN: Duration = Duration::from_secs(30);

/// Waits for the disk, links `/dev/SERIAL` to it and mounts what is on it below `root`.
pub fn attach(disk: &Disk, root: &Path) -> anyhow::Result<()> {
    let device = device_of(&disk.serial)?;
    let link = Path::new("/dev").join(&disk.serial);
    symlink(&device, &link).with_context(|| format!("cannot link {}", link.display()))?;
    let Some(file_system) = &disk.file_system else {
        return Ok(());
    };
    mount_at(&device, &root.join("mnt").join(&disk.serial), file_system)
}

/// Mounts the device at a place that is made if it is not there.
pub(super) fn mount_at(device: &Path, at: &Path, file_system: &str) -> anyhow::Result<()> {
    fs::create_dir_all(at)?;
    mount(device, at, file_system, MountFlags::empty(), None)
        .with_context(|| format!("cannot mount {} as {file_system}", device.display()))
}

/// The block device of the NVMe disk with this serial number, once it is there.
pub fn device_of(serial: &str) -> anyhow::Result<PathBuf> {
    let start = Instant::now();
    loop {
        if let Some(device) = look_for(serial) {
            return Ok(device);
        }
        if start.elapsed() > APPEARS_WITHIN {
            bail!("no disk {serial} appeared within {APPEARS_WITHIN:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn look_for(serial: &str) -> Option<PathBuf> {
    let controllers = fs::read_dir("/sys/class/nvme").ok()?;
    let controller = controllers.flatten().find(|controller| {
        fs::read_to_string(controller.path().join("serial"))
            .is_ok_and(|found| found.trim() == serial)
    })?;
    let name = controller.file_name().into_string().ok()?;
    let namespaces = fs::read_dir("/dev").ok()?;
    namespaces
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_str() == Some(&format!("/dev/{name}n1")))
}
