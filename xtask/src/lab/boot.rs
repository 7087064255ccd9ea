//! The files of one boot and QEMU's run on them; leaves out whether a boot is tried again.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
};

use anyhow::Context as _;

use super::{
    Disk, Fetch, Guest, console,
    disk::{self, FETCH_SERIAL, serial},
    forward::Forward,
    machine::{Machine, Parts},
    person::Person,
    port, rootfs,
    session::{self, Event, Events, Outcome},
    stdin::SignalWatch,
};
use crate::process;

/// The most that can be fetched; the file is sparse.
const FETCH_BYTES: u64 = 16 << 30;

/// The files of one boot; gone with it.
pub(crate) struct Boot {
    folder: tempfile::TempDir,
    disks: Vec<String>,
}

impl Boot {
    /// Writes them.
    pub(crate) fn prepare(guest: &Guest) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pinscope-lab-").tempdir()?;
        rootfs::write(guest, &folder.path().join("initramfs"))?;
        let mut boot = Self {
            folder,
            disks: Vec::new(),
        };
        if let Some(disk) = &guest.system {
            boot.disks.extend(disk::system_arguments(disk));
        }
        for (number, disk) in guest.disks.iter().enumerate() {
            boot.add(disk, &serial(number))?;
        }
        if !guest.fetches.is_empty() {
            boot.add(
                &Disk {
                    bytes: FETCH_BYTES,
                    file_system: None,
                    iops: None,
                    keep: None,
                },
                FETCH_SERIAL,
            )?;
        }
        Ok(boot)
    }

    fn add(&mut self, disk: &Disk, serial: &str) -> anyhow::Result<()> {
        let path = disk.keep.clone().unwrap_or_else(|| self.path(serial));
        disk.create(&path)?;
        self.disks.extend(disk.arguments(serial, &path));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts QEMU and follows the guest to its end.
    pub(crate) fn run(&self, guest: &Guest, forward: Option<&Forward>) -> anyhow::Result<Outcome> {
        let events = Events::new();
        let _signals = SignalWatch::start(events.sender.clone())?;
        let arrivals = events.sender.clone();
        // Nobody hears of arrivals after the verdict.
        let (port, command_line) =
            port::open(move |arrival| drop(arrivals.send(Event::Line(arrival))))?;
        let (forward, forward_line) = match forward {
            Some(forward) => forward
                .line()
                .map(|(started, line)| (Some(started), line))?,
            None => port::open(drop).map(|(_, line)| (None, line))?,
        };
        let machine = Machine::start(
            guest,
            Parts {
                initramfs: &self.path("initramfs"),
                console: &self.path("console"),
                errors: File::create(self.path("errors"))?,
                command_line,
                forward_line,
                disks: &self.disks,
            },
        )?;
        let mut person = Person::new(guest, port.clone(), events.sender.clone(), forward);
        let outcome = session::follow(&events, &port, guest.timeout, &mut person)?;
        drop(person);
        if matches!(outcome, Outcome::Exited(_) | Outcome::Fault(_)) {
            machine.end()?;
        }
        port.close();
        Ok(outcome)
    }

    /// Shows a person what went wrong.
    pub(crate) fn show_console(&self, guest: &Guest) {
        console::show(
            &guest.kernel.series,
            &self.path("console"),
            &self.path("errors"),
        );
    }

    /// Unpacks the fetch disk and puts each path where it was asked for.
    pub(crate) fn fetch(&self, fetches: &[Fetch]) -> anyhow::Result<()> {
        if fetches.is_empty() {
            return Ok(());
        }
        let files = self.path("files");
        fs::create_dir(&files)?;
        // Not busybox's, which reads on through the gigabytes behind the archive.
        process::output(
            Command::new("tar")
                .arg("-xf")
                .arg(self.path(FETCH_SERIAL))
                .arg("-C")
                .arg(&files),
        )
        .context("cannot unpack what the guest packed")?;
        for fetch in fetches {
            let from = files.join(fetch.guest.trim_start_matches('/'));
            process::output(
                Command::new("cp")
                    .args(["-a", "-T"])
                    .arg(from)
                    .arg(&fetch.host),
            )?;
        }
        Ok(())
    }
}
