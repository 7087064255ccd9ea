//! The guest's disks: sparse files that live as long as the guest; leaves out how the guest finds them.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Context as _, bail, ensure};

use super::arguments;
use crate::process;

/// Serial number of the scratch disk for what is fetched.
pub(crate) const FETCH_SERIAL: &str = "fetch";

/// Serial number of the disk that was asked for as the `number`th, from zero.
pub(crate) fn serial(number: usize) -> String {
    format!("disk{number}")
}

/// Serial number of the disk that holds a Debian system.
pub(crate) const SYSTEM_SERIAL: &str = "system";

/// A disk as a person asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) bytes: u64,
    pub(crate) file_system: Option<String>,
    /// Requests a second that it serves; without one, as fast as the host.
    pub(crate) iops: Option<u32>,
    /// Where its file lies and stays; without a place it is gone with the guest.
    pub(crate) keep: Option<PathBuf>,
}

impl FromStr for Disk {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.split(':');
        let bytes = arguments::size(words.next().unwrap_or_default())?;
        ensure!(
            bytes % 4096 == 0,
            "a disk is a whole number of 4096-byte blocks"
        );
        let mut disk = Self {
            bytes,
            file_system: None,
            iops: None,
            keep: None,
        };
        for word in words {
            match word.split_once('=') {
                None if word == "ext4" => disk.file_system = Some(word.to_owned()),
                Some(("iops", number)) => {
                    let iops = number.parse().ok().filter(|iops| *iops > 0);
                    disk.iops =
                        Some(iops.with_context(|| format!("{number} is no number of requests"))?);
                }
                _ => bail!("{word} is neither ext4 nor iops=N"),
            }
        }
        Ok(disk)
    }
}

impl Disk {
    /// Makes the file, with an empty file system if it is to have one.
    pub(crate) fn create(&self, path: &Path) -> anyhow::Result<()> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.set_len(self.bytes)?;
        if self.file_system.is_some() {
            let mke2fs =
                process::find("mke2fs").context("there is no mke2fs: run `cargo xtask setup`")?;
            process::output(
                Command::new(mke2fs)
                    .args([
                        "-q",
                        "-t",
                        "ext4",
                        "-F",
                        "-E",
                        "lazy_itable_init=1,lazy_journal_init=1",
                    ])
                    // Without these two, kernels from 5.10 on would not all mount what a newer mke2fs makes.
                    .args(["-O", "^orphan_file,^metadata_csum_seed", "-m", "0"])
                    .arg(path),
            )?;
        }
        Ok(())
    }

    /// QEMU's arguments for it.
    pub(crate) fn arguments(&self, serial: &str, path: &Path) -> Vec<String> {
        let throttle = self
            .iops
            .map(|iops| format!(",throttling.iops-total={iops}"))
            .unwrap_or_default();
        // Who needs the disk waits for the guest's end: flushes need not reach the host's disk.
        nvme(serial, path, &format!("cache=unsafe{throttle}"))
    }
}

/// QEMU's arguments for a system's disk. What a guest writes goes elsewhere and is gone with it.
pub(crate) fn system_arguments(path: &Path) -> Vec<String> {
    nvme(SYSTEM_SERIAL, path, "snapshot=on")
}

fn nvme(serial: &str, path: &Path, more: &str) -> Vec<String> {
    let file = escaped(path);
    vec![
        "-drive".to_owned(),
        format!("if=none,id={serial},file={file},format=raw,{more}"),
        "-device".to_owned(),
        format!("nvme,serial={serial},drive={serial}"),
    ]
}

/// A path as QEMU's option lists take it.
pub(crate) fn escaped(path: &Path) -> String {
    PathBuf::from(path).display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::Disk;

    #[test]
    fn a_disk_is_raw_and_fast_unless_said_otherwise() {
        let disk: Disk = "64M".parse().unwrap();
        assert_eq!(
            disk,
            Disk {
                bytes: 64 << 20,
                file_system: None,
                iops: None,
                keep: None
            }
        );
        let disk: Disk = "1G:ext4:iops=20".parse().unwrap();
        assert_eq!(
            disk,
            Disk {
                bytes: 1 << 30,
                file_system: Some("ext4".into()),
                iops: Some(20),
                keep: None
            }
        );
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        for text in [
            "",
            "ext4",
            "1000",
            "64M:xfs",
            "64M:iops",
            "64M:iops=0",
            "64M:iops=many",
        ] {
            assert!(text.parse::<Disk>().is_err(), "{text}");
        }
    }
}
