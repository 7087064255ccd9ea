//! What a guest adds to its Debian system: the lab's service, its programs, and the agent as an
//! operator would install it. Leaves out the system itself.

use lab::guest::{job::JOB_PATH, system::CONTENTS};

use super::super::{Guest, initramfs::Initramfs};
use crate::{
    build::guest::{AGENT, INIT, RUNNER},
    paths,
};

/// The unit that carries the job on.
const SERVICE: &str = "lab.service";

/// The agent's files, in the repository and in the system.
const INSTALLED: &[(&str, &str)] = &[
    (
        "packaging/pinscope.service",
        "/usr/lib/systemd/system/pinscope.service",
    ),
    ("packaging/pinscope.toml", "/etc/pinscope/pinscope.toml"),
    (
        "packaging/pinscope.sysctl.conf",
        "/etc/sysctl.d/50-pinscope.conf",
    ),
];

/// `PATH` of the command: as Debian gives it to root.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts it into the archive, from where init takes it.
pub(crate) fn add(root: &mut Initramfs, guest: &Guest) -> anyhow::Result<()> {
    let units = format!("{CONTENTS}/etc/systemd/system");
    let unit = include_str!("lab.service");
    root.file(&format!("{units}/{SERVICE}"), 0o644, unit.as_bytes())?;
    root.link(
        &format!("{units}/multi-user.target.wants/{SERVICE}"),
        &format!("../{SERVICE}"),
    )?;
    root.folder(&place(
        JOB_PATH.rsplit_once('/').map_or("", |(folder, _)| folder),
    ))?;
    for binary in &guest.binaries {
        let installed = match binary.name.as_str() {
            INIT => continue,
            RUNNER => format!("/lab/{RUNNER}"),
            AGENT => format!("/usr/bin/{AGENT}"),
            name => format!("/usr/local/bin/{name}"),
        };
        root.copy(&binary.path, &place(&installed))?;
        if binary.name == AGENT {
            for (file, installed) in INSTALLED {
                root.copy(&paths::root().join(file), &place(installed))?;
            }
        }
    }
    Ok(())
}

/// Where in the archive something lies that is to be at this absolute place in the system.
pub(crate) fn place(in_system: &str) -> String {
    format!("{CONTENTS}{in_system}")
}
