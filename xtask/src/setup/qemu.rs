//! A QEMU that the lab can rely on: the system's if it is new enough, Debian's beside the system if not.
//! Leaves out how guests are started.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{arch::Arch, debian::apt::Apt, paths, process, say};

/// QEMU 7.2 crashes 6.12 guests early in boot, in 5 to 40 % of runs.
const OLDEST: (u32, u32) = (8, 1);

/// Debian's release whose QEMU (10.0) is taken, with every library down to the C library: it runs
/// on any machine then.
const SUITE: &str = "trixie";

/// Unpacks the QEMU for guests of this architecture unless there is one already.
pub(crate) fn bring(guests: Arch) -> anyhow::Result<()> {
    if own(guests).exists() || system(guests).is_some() {
        return Ok(());
    }
    let machine = guests.machine();
    say::step(
        "setup",
        format_args!(
            "{} from Debian {SUITE} (40 MB, kept beside the system)",
            machine.program
        ),
    );
    let folder = folder(guests);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Apt::ready(Arch::HOST)?.unpack_with_dependencies(machine.package, SUITE, &folder)?;
    write_starter(&folder, guests)
}

/// The QEMU to run.
pub(crate) fn program(guests: Arch) -> anyhow::Result<PathBuf> {
    let program = if own(guests).exists() {
        Some(own(guests))
    } else {
        system(guests)
    };
    program.context("there is no QEMU: run `cargo xtask setup`")
}

fn own(guests: Arch) -> PathBuf {
    paths::tools().join("bin").join(guests.machine().program)
}

/// One for each: their packages bring the same libraries, of which each keeps its own.
fn folder(guests: Arch) -> PathBuf {
    let name = match guests {
        Arch::X86_64 => "qemu".to_owned(),
        Arch::Aarch64 => format!("qemu-{}", guests.name()),
    };
    paths::tools().join(name)
}

fn system(guests: Arch) -> Option<PathBuf> {
    let program = process::find(guests.machine().program)?;
    let printed = process::text(Command::new(&program).arg("--version")).ok()?;
    (version(&printed)? >= OLDEST).then_some(program)
}

fn version(printed: &str) -> Option<(u32, u32)> {
    let (_, rest) = printed.split_once("version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A script that starts it with its own loader, libraries, modules and firmware.
fn write_starter(folder: &Path, guests: Arch) -> anyhow::Result<()> {
    let q = folder.display();
    let (loader, libraries) = (Arch::HOST.loader(), Arch::HOST.libraries());
    let program = guests.machine().program;
    let script = format!(
        "#!/bin/sh\n\
         export QEMU_MODULE_DIR={q}/usr/lib/{libraries}/qemu\n\
         exec {q}/{loader} --library-path {q}/usr/lib/{libraries} \\\n  \
           {q}/usr/bin/{program} -L {q}/usr/share/qemu -L {q}/usr/share/seabios \"$@\"\n"
    );
    fs::create_dir_all(paths::tools().join("bin"))?;
    let draft = folder.join("starter");
    fs::write(&draft, script)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    process::output(Command::new(&draft).arg("--version"))
        .context("the QEMU just unpacked does not start")?;
    // Last and at once: that it is there says that everything is.
    fs::rename(draft, own(guests))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, version};

    #[test]
    fn the_version_is_read_from_what_qemu_prints() {
        let printed = "QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)\nCopyright";
        assert_eq!(version(printed), Some((10, 0)));
    }

    #[test]
    fn bookworms_own_qemu_is_too_old() {
        assert!(version("QEMU emulator version 7.2.22 (Debian)").unwrap() < OLDEST);
        assert!(version("QEMU emulator version 8.1.0").unwrap() >= OLDEST);
    }
}
