//! `cargo xtask package`: the Debian package, of the agent as the lab runs it.
//! Leaves out what is in it, which `packaging/debian/Cargo.toml` says.

mod pages;

use std::{env, ffi::OsString, fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

use crate::{
    arch::Arch,
    build::{self, objcopy::Objcopy},
    paths, process, say, setup,
};

/// How `debian/changelog` begins, to its entry.
const DISTRIBUTION: &str = "unstable; urgency=medium";

/// What to package.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Architecture to package for; this machine's own if it is not named
    #[arg(long, value_name = "ARCH")]
    target: Option<Arch>,
    /// Debian's revision of this version
    #[arg(long, default_value_t = 1)]
    revision: u32,
    /// Build nothing: take the agent as it was built last
    #[arg(long)]
    built: bool,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<()> {
    let arch = options.target.unwrap_or(Arch::HOST);
    setup::to_package(arch)?;
    if !options.built {
        build::all(arch)?;
    }
    let package = make(arch, options.revision)?;
    println!("{}", package.display());
    Ok(())
}

/// Makes the package of the agent that was built last.
pub(crate) fn make(arch: Arch, revision: u32) -> anyhow::Result<PathBuf> {
    let folder = paths::target().join("package");
    fs::create_dir_all(&folder)?;
    let manifest = paths::root().join("packaging/debian/Cargo.toml");
    let said: toml::Table = fs::read_to_string(&manifest)?
        .parse()
        .context("the manifest is no TOML")?;
    let version = format!("{}-{revision}", env!("CARGO_PKG_VERSION"));
    let at = time()?;
    fs::write(folder.join("changelog"), changelog(&said, &version, &at)?)?;
    pages::prepare(&said)?;

    let place = folder.join(format!("pinscope_{version}_{}.deb", arch.debian()));
    let (path, libraries) = with_the_compilers_strip()?;
    say::step("package", format_args!("{version} for {}", arch.debian()));
    process::output(
        Command::new(paths::tools().join("bin/cargo-deb"))
            .args(["--no-build", "--offline", "--target", arch.target()])
            .arg("--manifest-path")
            .arg(&manifest)
            .args(["--deb-version", &version, "--output"])
            .arg(&place)
            .env("CARGO_TARGET_DIR", paths::target())
            .env("SOURCE_DATE_EPOCH", &at)
            .env("PATH", path)
            .env("LD_LIBRARY_PATH", libraries)
            .current_dir(paths::root()),
    )?;
    Ok(place)
}

/// `PATH` with a `strip` that knows every architecture and is of one version everywhere, and where
/// its libraries are. LLVM's, which comes with the compiler, goes by the name that it is called by.
fn with_the_compilers_strip() -> anyhow::Result<(OsString, PathBuf)> {
    let Objcopy { program, libraries } = Objcopy::of_the_compiler()?;
    let folder = paths::target().join("package/bin");
    let strip = folder.join("strip");
    fs::create_dir_all(&folder)?;
    if fs::read_link(&strip).is_ok_and(|to| to != program) {
        fs::remove_file(&strip)?;
    }
    if !strip.exists() {
        symlink(&program, &strip)?;
    }
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([folder].into_iter().chain(env::split_paths(&others)))?;
    Ok((path, libraries))
}

/// When the source is from, in seconds since 1970: so is everything in the package.
fn time() -> anyhow::Result<String> {
    if let Ok(given) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let text = process::text(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(paths::root()),
    )
    .context("a source without git needs SOURCE_DATE_EPOCH")?;
    Ok(text.trim().to_owned())
}

/// Debian's form of a changelog, whose one entry leads to the project's own.
fn changelog(manifest: &toml::Table, version: &str, at: &str) -> anyhow::Result<String> {
    let maintainer = manifest["package"]["metadata"]["deb"]["maintainer"]
        .as_str()
        .context("the manifest names no maintainer")?;
    let date = process::text(
        Command::new("date")
            .args(["--utc", "--rfc-email", "--date", &format!("@{at}")])
            .env("LC_ALL", "C"),
    )?;
    ensure!(!date.trim().is_empty(), "date printed nothing");
    Ok(format!(
        "pinscope ({version}) {DISTRIBUTION}\n\n  \
         * /usr/share/doc/pinscope/changelog.gz says what changed.\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::changelog;

    #[test]
    fn the_changelog_has_the_form_that_debian_reads() {
        let manifest = "[package.metadata.deb]\nmaintainer = \"A <a@b.example>\"\n";
        assert_eq!(
            changelog(&manifest.parse().unwrap(), "1.2.3-4", "0").unwrap(),
            "pinscope (1.2.3-4) unstable; urgency=medium\n\n  \
             * /usr/share/doc/pinscope/changelog.gz says what changed.\n\n \
             -- A <a@b.example>  Thu, 01 Jan 1970 00:00:00 +0000\n"
        );
    }
}
