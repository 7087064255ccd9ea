//! Single programs out of Debian packages, kept under `target/tools`; leaves out QEMU, which needs its libraries.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use crate::{
    arch::Arch,
    debian::apt::{self, Apt},
    paths, say,
};

struct Source {
    package: &'static str,
    suite: &'static str,
    /// Paths within the package; the last part is the program's name.
    programs: &'static [&'static str],
    what_for: &'static str,
}

/// The package that is a guest's userland.
const USERLAND: &str = "busybox-static";

const SOURCES: &[Source] = &[
    Source {
        package: USERLAND,
        suite: "trixie",
        programs: &["usr/bin/busybox"],
        what_for: "the userland of the lab's guests",
    },
    Source {
        package: "prometheus",
        // The newest whose C library bookworm still has; later ones have promtool elsewhere.
        suite: "bookworm",
        programs: &["usr/bin/prometheus", "usr/bin/promtool"],
        what_for: "promtool and prometheus, which check metrics, alerts and dashboards",
    },
];

/// Unpacks those of this machine's that are missing.
pub(crate) fn bring() -> anyhow::Result<()> {
    SOURCES
        .iter()
        .try_for_each(|source| source.bring(Arch::HOST))
}

/// Unpacks the userland of a guest, if it is missing.
pub(crate) fn bring_userland(arch: Arch) -> anyhow::Result<()> {
    SOURCES
        .iter()
        .filter(|source| source.package == USERLAND)
        .try_for_each(|source| source.bring(arch))
}

/// The program that is a guest's userland.
pub(crate) fn busybox(arch: Arch) -> PathBuf {
    folder(arch).join("busybox")
}

/// Programs of this machine's lie with the other tools, those of another architecture apart.
fn folder(arch: Arch) -> PathBuf {
    if arch == Arch::HOST {
        paths::tools().join("bin")
    } else {
        paths::tools().join(arch.name()).join("bin")
    }
}

impl Source {
    fn bring(&self, arch: Arch) -> anyhow::Result<()> {
        let bin = folder(arch);
        let name = |program: &'static str| program.rsplit('/').next().unwrap_or(program);
        let missing = |program: &&'static str| !bin.join(name(program)).exists();
        if !self.programs.iter().any(missing) {
            return Ok(());
        }
        say::step(
            "setup",
            format_args!("{} ({})", self.package, self.what_for),
        );
        let apt = Apt::ready(arch)?;
        let package = apt.in_suite(self.package, self.suite)?;
        let scratch = tempfile::tempdir_in(paths::target())?;
        let deb = apt.download(&package, scratch.path())?;
        let files = scratch.path().join("files");
        apt::unpack(&deb, &files)?;
        fs::create_dir_all(&bin)?;
        for program in self.programs {
            fs::rename(files.join(program), bin.join(name(program)))
                .with_context(|| format!("{} has no {program}", self.package))?;
        }
        Ok(())
    }
}
