//! Debian systems with systemd: one disk for each release, made once, in a guest, of the release's own
//! packages, and kept under `target/systems`. No script of a package ever runs on this machine.
//! Leaves out what a guest adds to it, which is `outfit`.

pub(crate) mod outfit;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use super::{Copy, Disk, Guest, Input};
use crate::{
    arch::Arch,
    build::guest::{Binary, INIT},
    debian::apt::Apt,
    kernels::store::Kernel,
    paths, say, setup,
};

/// The packages that every Debian system has, and for a service's tests: systemd, and what an
/// operator looks around with.
const PACKAGES: &[&str] = &[
    "base-files",
    "base-passwd",
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "dpkg",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "init-system-helpers",
    "libc-bin",
    "login",
    "mawk",
    "ncurses-base",
    "ncurses-bin",
    "passwd",
    "perl-base",
    "sed",
    "sysvinit-utils",
    "tar",
    "util-linux",
    // Instead of usrmerge, which converts a system in use and brings all of perl for it.
    "usr-is-merged",
    "systemd-sysv",
    "dbus",
    "procps",
    "kmod",
    "iproute2",
    "curl",
];

const SCRIPT: &str = include_str!("system/build.sh");

/// Of the disk; its file is sparse.
const BYTES: u64 = 4 << 30;

/// The disk of this release's system; made if it is not there, or if its recipe has changed.
pub(crate) fn bring(suite: &str, kernel: &Kernel, binaries: &[Binary]) -> anyhow::Result<PathBuf> {
    let arch = kernel.arch();
    let place = paths::target()
        .join("systems")
        .join(format!("{suite}-{}", arch.debian()));
    let recipe = format!("{}\n{SCRIPT}", PACKAGES.join(" "));
    let disk = place.join("disk");
    let made = || fs::read_to_string(place.join("recipe")).is_ok_and(|kept| kept == recipe);
    if made() {
        return Ok(disk);
    }
    let _only_one = setup::lock()?;
    if made() {
        return Ok(disk);
    }
    say::step(
        "lab",
        format_args!("making a system of Debian {suite}'s packages (two minutes, once)"),
    );
    fs::create_dir_all(&place)?;
    let scratch = tempfile::tempdir_in(&place)?;
    let debs = scratch.path().join("debs");
    let packages = download(arch, suite, &debs)?;
    let draft = scratch.path().join("disk");
    install(kernel, binaries, &debs, &draft)?;
    fs::rename(&draft, &disk)?;
    fs::write(place.join("packages"), packages)?;
    // Last: that it is there says that everything is.
    fs::write(place.join("recipe"), recipe)?;
    Ok(disk)
}

/// Downloads the packages and gives their files' names, one a line.
fn download(arch: Arch, suite: &str, folder: &Path) -> anyhow::Result<String> {
    let debs = Apt::ready(arch)?.download_with_dependencies(PACKAGES, suite, folder)?;
    let mut names: Vec<_> = debs
        .iter()
        .filter_map(|deb| deb.file_name()?.to_str())
        .collect();
    names.sort_unstable();
    Ok(names.join("\n") + "\n")
}

/// Runs the script in a guest that has the packages and an empty disk.
fn install(kernel: &Kernel, binaries: &[Binary], debs: &Path, disk: &Path) -> anyhow::Result<()> {
    let init = binaries.iter().filter(|binary| binary.name == INIT);
    let mut guest = Guest::new(kernel.clone(), init.cloned().collect());
    guest.input = Input::Nothing;
    guest.copies = vec![Copy {
        host: debs.to_owned(),
        guest: "/debs".to_owned(),
    }];
    guest.disks = vec![Disk {
        bytes: BYTES,
        file_system: Some("ext4".to_owned()),
        iops: None,
        keep: Some(disk.to_owned()),
    }];
    let run = "sh -euc \"$0\" >/tmp/log 2>&1 || { tail -n 40 /tmp/log >&2; exit 1; }";
    guest.command = ["sh", "-c", run, SCRIPT].map(str::to_owned).to_vec();
    let code = guest.run().context("the guest that makes it failed")?;
    ensure!(
        code == 0,
        "the system was not made: the guest ended with {code}"
    );
    Ok(())
}
