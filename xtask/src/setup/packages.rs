//! Single programs out of Debian packages, kept under `target/tools`; leaves out QEMU, which needs its libraries.

use std::fs;

use anyhow::Context as _;

use crate::{
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

const SOURCES: &[Source] = &[
    Source {
        package: "busybox-static",
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

/// Unpacks those that are missing.
pub(crate) fn bring() -> anyhow::Result<()> {
    let bin = paths::tools().join("bin");
    let name = |program: &'static str| program.rsplit('/').next().unwrap_or(program);
    for source in SOURCES {
        if source
            .programs
            .iter()
            .all(|program| bin.join(name(program)).exists())
        {
            continue;
        }
        say::step(
            "setup",
            format_args!("{} ({})", source.package, source.what_for),
        );
        let apt = Apt::ready()?;
        let package = apt.in_suite(source.package, source.suite)?;
        let scratch = tempfile::tempdir_in(paths::target())?;
        let deb = apt.download(&package, scratch.path())?;
        let files = scratch.path().join("files");
        apt::unpack(&deb, &files)?;
        fs::create_dir_all(&bin)?;
        for program in source.programs {
            fs::rename(files.join(program), bin.join(name(program)))
                .with_context(|| format!("{} has no {program}", source.package))?;
        }
    }
    Ok(())
}
