//! From the initramfs into a system on a disk, whose own init becomes PID 1.
//! Leaves out what runs there: its service `lab` carries the job on.

use std::{
    convert::Infallible,
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::Path,
    process::Command,
};

use anyhow::Context as _;

use super::{
    disks,
    job::{JOB_PATH, Job, System},
    mounts,
};

/// What the initramfs holds for the system, as places in it.
pub const CONTENTS: &str = "/lab/system";

/// Where the system's disk is mounted before it is the root.
const ROOT: &str = "/system";

/// Puts the system together and becomes its init; comes back only if that failed.
pub fn enter(job: &Job, system: &System) -> anyhow::Result<Infallible> {
    let root = Path::new(ROOT);
    let device = disks::device_of(&system.serial)?;
    disks::mount_at(&device, root, &system.file_system)?;
    copy_into(Path::new(CONTENTS), root)?;
    let in_system = root.join(JOB_PATH.trim_start_matches('/'));
    fs::copy(JOB_PATH, &in_system)
        .with_context(|| format!("cannot write {}", in_system.display()))?;
    for disk in &job.disks {
        disks::attach(disk, root)?;
    }
    mounts::unmount_all()?;
    Err(Command::new("/bin/switch_root")
        .args([ROOT, "/sbin/init"])
        .exec())
    .context("cannot change over to the system")
}

/// Copies what is in a folder into another one. A folder that is a link there, as `/bin` is, stays one.
fn copy_into(from: &Path, to: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(context)?;
    for entry in fs::read_dir(from).with_context(context)? {
        let entry = entry.with_context(context)?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(context)?;
        if kind.is_dir() {
            copy_into(&source, &place)?;
            continue;
        }
        // What is there may be a program that runs, or a link that would be followed.
        if fs::symlink_metadata(&place).is_ok() {
            fs::remove_file(&place).with_context(context)?;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &place).with_context(context)?;
        } else {
            fs::copy(&source, &place).with_context(context)?;
        }
    }
    Ok(())
}
