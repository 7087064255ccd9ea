//! What lies in a guest's root file system: init, userland, packages, what is copied, and its job.
//! Leaves out the archive's format.

use std::{collections::BTreeMap, path::Path, process::Command};

use lab::guest::job::{self, JOB_PATH, Job};

use super::{Guest, disk, initramfs::Initramfs, packages, stdin, system::outfit};
use crate::{
    arch::Arch,
    build::guest::INIT,
    kernels::modules::{self, Module},
    process, setup,
};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

fn place(module: &str) -> String {
    format!("/lab/modules/{module}.ko")
}

/// Writes it, for this guest, to `path`.
pub(crate) fn write(guest: &Guest, path: &Path) -> anyhow::Result<()> {
    let modules = modules(guest)?;
    let mut root = Initramfs::create(path)?;
    for folder in [
        "dev",
        "etc",
        "mnt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr/lib",
        "usr/lib64",
        "var",
    ] {
        root.folder(folder)?;
    }
    for (link, to) in [
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("sbin", "bin"),
        ("usr/bin", "../bin"),
        ("usr/sbin", "../bin"),
    ] {
        root.link(link, to)?;
    }
    root.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
    root.file("etc/group", 0o644, GROUP.as_bytes())?;
    root.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n")?;
    let busybox = setup::packages::busybox(guest.kernel.arch());
    root.copy(&busybox, "bin/busybox")?;
    for binary in &guest.binaries {
        match binary.name.as_str() {
            INIT => root.copy(&binary.path, "init")?,
            _ if guest.system.is_some() => {}
            name => root.copy(&binary.path, &format!("bin/{name}"))?,
        }
    }
    // Of a guest with a system, the initramfs is the way into it.
    let within = match guest.system {
        Some(_) => outfit::place,
        None => str::to_owned,
    };
    if guest.system.is_some() {
        outfit::add(&mut root, guest)?;
    }
    for package in &guest.packages {
        packages::add(&mut root, package, within)?;
    }
    // This machine's own can be asked, and it is of the same release.
    let applets = setup::packages::busybox(Arch::HOST);
    let applets = process::text(Command::new(applets).arg("--list"))?;
    for place in applets.lines().map(|applet| format!("bin/{applet}")) {
        if !root.has(&place) {
            root.link(&place, "busybox")?;
        }
    }
    for module in &modules {
        root.file(&place(&module.name), 0o644, &module.object)?;
    }
    for copy in &guest.copies {
        root.copy(&copy.host, &within(&copy.guest))?;
    }
    root.file(
        JOB_PATH,
        0o644,
        &serde_json::to_vec_pretty(&job(guest, &modules))?,
    )?;
    root.finish()
}

/// What was asked for, and what disks need on a kernel that has it as modules. The file system looks
/// for its checksum by a name, and not as what it depends on.
fn modules(guest: &Guest) -> anyhow::Result<Vec<Module>> {
    let mut names = Vec::new();
    if guest.system.is_some() || !guest.disks.is_empty() || !guest.fetches.is_empty() {
        names = modules::at_hand(&guest.kernel, &["nvme", "crc32c_generic", "ext4"])?;
    }
    names.extend(guest.modules.iter().cloned());
    modules::closure(&guest.kernel, &names)
}

/// What init is to do.
fn job(guest: &Guest, modules: &[Module]) -> Job {
    let mut environment: BTreeMap<_, _> = [(
        "PS1".to_owned(),
        format!("[{}] \\w # ", guest.kernel.series),
    )]
    .into();
    if guest.terminal {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned());
        environment.insert("TERM".to_owned(), kind);
    }
    let fetch = (!guest.fetches.is_empty()).then(|| job::Fetch {
        serial: disk::FETCH_SERIAL.to_owned(),
        paths: guest
            .fetches
            .iter()
            .map(|fetch| fetch.guest.clone())
            .collect(),
    });
    let system = guest.system.as_ref().map(|_| job::System {
        serial: disk::SYSTEM_SERIAL.to_owned(),
        file_system: "ext4".to_owned(),
    });
    if system.is_some() {
        environment.insert("PATH".to_owned(), outfit::PATH.to_owned());
    }
    let [command_line, forward_line] = guest.kernel.arch().machine().lines;
    Job {
        command_line: command_line.to_owned(),
        forward_line: forward_line.to_owned(),
        command: guest.command.clone(),
        environment,
        terminal: guest.terminal.then(stdin::terminal_size),
        modules: modules.iter().map(|module| place(&module.name)).collect(),
        disks: guest
            .disks
            .iter()
            .enumerate()
            .map(|(number, disk)| job::Disk {
                serial: disk::serial(number),
                file_system: disk.file_system.clone(),
            })
            .collect(),
        fetch,
        forward: guest.forward,
        system,
    }
}
