//! apt with its own state under `target/apt`, one for each architecture: reads and downloads packages of several Debian
//! releases at once, checks their signatures and leaves the machine's configuration alone.
//! Leaves out installing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use anyhow::{Context as _, bail, ensure};

use super::{control, mirror};
use crate::{arch::Arch, checksum, paths, process, refused, say};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The releases that kernels and tools come from.
const SUITES: [&str; 5] = [
    "bullseye",
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
];

/// One version of one package, as the archive lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// apt's state; made by [`Apt::ready`].
pub(crate) struct Apt {
    arch: Arch,
    state: PathBuf,
}

impl Apt {
    /// Writes the sources, and fetches the package lists if there are none yet.
    pub(crate) fn ready(arch: Arch) -> anyhow::Result<Self> {
        if process::find("apt-get").is_none() || process::find("dpkg-deb").is_none() {
            return Err(refused(
                "apt-get and dpkg-deb are needed: the lab's kernels and tools are Debian packages; \
                 on another distribution, run this in a container of debian:trixie",
            ));
        }
        if !Path::new(KEYRING).exists() {
            return Err(refused(format!(
                "{KEYRING} is missing: install debian-archive-keyring"
            )));
        }
        let folder = if arch == Arch::HOST {
            "apt".to_owned()
        } else {
            format!("apt-{}", arch.debian())
        };
        let apt = Self {
            arch,
            state: paths::target().join(folder),
        };
        fs::create_dir_all(apt.state.join("lists/partial"))?;
        fs::create_dir_all(apt.state.join("cache/archives/partial"))?;
        // Nothing counts as installed: what is unpacked must not lean on the system.
        fs::write(apt.state.join("status"), "")?;
        let mirror = mirror::of_this_machine()?;
        let sources: String = SUITES
            .iter()
            .map(|suite| {
                let arch = arch.debian();
                format!("deb [arch={arch} signed-by={KEYRING}] {mirror} {suite} main\n")
            })
            .collect();
        let file = apt.state.join("sources.list");
        let known = fs::read_to_string(&file).is_ok_and(|old| old == sources);
        if !known {
            fs::write(&file, sources)?;
        }
        if !known || !apt.state.join("complete").exists() {
            apt.update()?;
        }
        Ok(apt)
    }

    /// Fetches the package lists anew, once in a run of xtask.
    pub(crate) fn update(&self) -> anyhow::Result<()> {
        static ONCE: [Once; Arch::ALL.len()] = [const { Once::new() }; Arch::ALL.len()];
        let mut result = Ok(());
        ONCE[self.arch as usize].call_once(|| {
            say::step(
                "setup",
                format_args!(
                    "reading Debian's package lists of {} ({})",
                    self.arch.debian(),
                    SUITES.join(", ")
                ),
            );
            let complete = self.state.join("complete");
            result = process::output(self.command("apt-get").args([
                "-o",
                "APT::Update::Error-Mode=any",
                "update",
            ]))
            .and_then(|_| Ok(fs::write(complete, "")?));
        });
        result.context("cannot read Debian's package lists")
    }

    /// Every version of every package whose name `wanted` accepts.
    pub(crate) fn list(
        &self,
        prefix: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Vec<Package>> {
        let names = process::text(self.command("apt-cache").args(["pkgnames", prefix]))?;
        let names: Vec<_> = names.lines().filter(|name| wanted(name)).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // A name that only others mention has no stanza, and apt-cache fails when none has.
        let shown = self
            .command("apt-cache")
            .args(["show", "-a"])
            .args(names)
            .output()?;
        let text = String::from_utf8(shown.stdout).context("apt-cache printed no text")?;
        Ok(control::parse(&text).iter().filter_map(package).collect())
    }

    /// The version of `name` that `wanted` accepts; if it is not listed, the lists are read anew first.
    pub(crate) fn find(
        &self,
        name: &str,
        wanted: impl Fn(&Package) -> bool,
    ) -> anyhow::Result<Option<Package>> {
        let look = || {
            let all = self.list(name, |listed| listed == name)?;
            Ok::<_, anyhow::Error>(all.into_iter().find(&wanted))
        };
        if let Some(package) = look()? {
            return Ok(Some(package));
        }
        self.update()?;
        look()
    }

    /// The version of `name` that a release has.
    pub(crate) fn in_suite(&self, name: &str, suite: &str) -> anyhow::Result<Package> {
        let text = process::text(
            self.command("apt-cache")
                .args(["show", &format!("{name}/{suite}")]),
        )?;
        control::parse(&text)
            .iter()
            .find_map(package)
            .with_context(|| format!("Debian {suite} lists no {name}"))
    }

    /// Downloads the package into `folder`; apt checks it against the signed lists.
    pub(crate) fn download(&self, package: &Package, folder: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let wanted = format!("{}={}", package.name, package.version);
        process::output(
            self.command("apt-get")
                .args(["download", &wanted])
                .current_dir(folder),
        )?;
        let file = fs::read_dir(folder)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| is_deb_of(path, &package.name))
            .with_context(|| format!("apt-get downloaded no {wanted}"))?;
        let sum = checksum::of_file(&file)?;
        ensure!(
            sum == package.sha256,
            "{wanted} has checksum {sum}, the archive lists {}",
            package.sha256
        );
        Ok(file)
    }

    /// Downloads the package from `suite` and everything it depends on, and unpacks all of it.
    pub(crate) fn unpack_with_dependencies(
        &self,
        name: &str,
        suite: &str,
        into: &Path,
    ) -> anyhow::Result<()> {
        let archives = tempfile::tempdir_in(&self.state)?;
        let debs = self.download_with_dependencies(&[name], suite, archives.path())?;
        debs.iter().try_for_each(|deb| unpack(deb, into))
    }

    /// Downloads the packages from `suite` and everything they depend on into `folder`.
    pub(crate) fn download_with_dependencies(
        &self,
        names: &[&str],
        suite: &str,
        folder: &Path,
    ) -> anyhow::Result<Vec<PathBuf>> {
        fs::create_dir_all(folder.join("partial"))?;
        let place = format!("Dir::Cache::archives={}", folder.display());
        process::output(
            self.command("apt-get")
                .args(["-o", &place, "install", "--download-only", "--yes"])
                // Of what they depend on, too, the release's own version and not the newest there is.
                .args(["--no-install-recommends", "--target-release", suite])
                .args(names.iter().map(|name| format!("{name}/{suite}"))),
        )?;
        let debs: Vec<_> = fs::read_dir(folder)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|it| it == "deb"))
            .collect();
        if debs.is_empty() {
            bail!(
                "apt-get downloaded nothing for {} of {suite}",
                names.join(", ")
            );
        }
        Ok(debs)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |name: &str| self.state.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Dir::Etc::preferences=-".to_owned(),
            "Dir::Etc::preferencesparts=-".to_owned(),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::State::extended_states={}", at("extended_states")),
            format!("Dir::Cache={}", at("cache")),
            // Container images switch these two off, which makes each look-up take seconds.
            "Dir::Cache::pkgcache=pkgcache.bin".to_owned(),
            "Dir::Cache::srcpkgcache=srcpkgcache.bin".to_owned(),
            format!("APT::Architecture={}", self.arch.debian()),
            format!("APT::Architectures::={}", self.arch.debian()),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // The download user of a root's apt may not enter the repository's folder.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// Unpacks the files of a package into a folder, without its scripts.
pub(crate) fn unpack(deb: &Path, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    process::output(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(into))?;
    Ok(())
}

fn package(stanza: &control::Stanza) -> Option<Package> {
    Some(Package {
        name: stanza.get("package")?.clone(),
        version: stanza.get("version")?.clone(),
        sha256: stanza.get("sha256")?.clone(),
        bytes: stanza.get("size")?.parse().ok()?,
    })
}

fn is_deb_of(path: &Path, name: &str) -> bool {
    path.file_name()
        .and_then(|file| file.to_str())
        .is_some_and(|file| file.starts_with(&format!("{name}_")) && file.ends_with(".deb"))
}
