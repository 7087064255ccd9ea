//! Packs files for the host onto a raw disk: a serial line is too slow for them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::{disks, job::Fetch, processes};

/// Writes a tar archive of the paths onto the scratch disk.
pub fn pack(fetch: &Fetch) -> anyhow::Result<()> {
    let device = disks::device_of(&fetch.serial)?;
    let child = Command::new("/bin/tar")
        .arg("-cf")
        .arg(&device)
        .arg("--")
        .args(fetch.paths.iter().map(|path| path.trim_start_matches('/')))
        .current_dir("/")
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start tar")?;
    let code = processes::wait_for(child.id())?;
    ensure!(
        code == 0,
        "cannot pack {} (tar ended with {code}, see the console)",
        fetch.paths.join(", ")
    );
    rustix::fs::sync();
    Ok(())
}
