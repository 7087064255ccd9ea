//! Programs that must be installed on the system itself, because they cannot be unpacked beside it.
//! Leaves out everything that setup keeps under `target`.

use std::process::Command;

use crate::{process, refused, say};

/// Each program and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("mke2fs", "e2fsprogs"),
];

/// Installs what is missing if the caller may, or names the command that does.
pub(crate) fn bring() -> anyhow::Result<()> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| process::find(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let may = rustix::process::geteuid().is_root() && process::find("apt-get").is_some();
    if !may {
        return Err(refused(format!(
            "missing: {}; as root: apt-get install {}",
            programs.join(", "),
            packages.join(" ")
        )));
    }
    say::step("setup", format_args!("installing {}", packages.join(", ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--quiet=2");
        command
    };
    process::output(apt().arg("update"))?;
    process::output(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(())
}
