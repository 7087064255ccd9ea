//! The standard library's sources for exactly this compiler, which `-Z build-std` compiles for BPF.
//! Leaves out the compiler: `rust-toolchain.toml` pins it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{arch::Arch, debian::apt::Apt, process, refused, say};

/// Brings the sources from rustup, or where that cannot be reached from Debian's package.
pub(crate) fn bring() -> anyhow::Result<()> {
    let sources = process::sysroot()?.join("lib/rustlib/src/rust");
    if is_there(&sources) {
        return Ok(());
    }
    let version = compiler()?;
    say::step(
        "setup",
        format_args!("the standard library's sources for rustc {version}"),
    );
    let rustup = process::output(Command::new("rustup").args(["component", "add", "rust-src"]));
    match rustup {
        Ok(_) if is_there(&sources) => return Ok(()),
        Ok(_) => say::step(
            "setup",
            "rustup brought them for another compiler; trying Debian's",
        ),
        Err(_) => say::step("setup", "rustup cannot bring them; taking Debian's (45 MB)"),
    }
    from_debian(&version, &sources)
}

fn is_there(sources: &Path) -> bool {
    sources.join("library/core/src/lib.rs").exists() && sources.join("library/Cargo.lock").exists()
}

fn compiler() -> anyhow::Result<String> {
    let line = process::text(Command::new("rustc").arg("--version"))?;
    line.split_whitespace()
        .nth(1)
        .map(str::to_owned)
        .context("rustc printed no version")
}

fn from_debian(version: &str, sources: &Path) -> anyhow::Result<()> {
    let apt = Apt::ready(Arch::HOST)?;
    let package = apt
        .find("rust-src", |package| {
            package.version.starts_with(&format!("{version}+"))
        })?
        .ok_or_else(|| {
            refused(format!(
                "neither rustup nor Debian has the sources of rustc {version}: \
                 run `rustup component add rust-src` where rustup's server can be reached"
            ))
        })?;
    fs::create_dir_all(sources).with_context(|| {
        format!(
            "cannot write to the compiler's folder {}",
            sources.display()
        )
    })?;
    let scratch = tempfile::tempdir_in(sources)?;
    let deb = apt.download(&package, scratch.path())?;
    let folder = format!("usr/src/rustc-{version}/library");
    extract(&deb, &folder, scratch.path())?;
    let library = sources.join("library");
    // A link into a target folder that is gone, or half of an earlier copy.
    remove(&library)?;
    fs::rename(scratch.path().join(folder), &library)
        .with_context(|| format!("cannot write {}", library.display()))
}

/// Unpacks one folder of a package: the rest of it is ten times as large.
fn extract(deb: &Path, folder: &str, into: &Path) -> anyhow::Result<()> {
    let archive: PathBuf = into.join("data.tar");
    let tar = process::output(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb))?;
    fs::write(&archive, tar)?;
    let member = format!("./{folder}");
    process::output(
        Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(into)
            .arg(&member),
    )?;
    if !into.join(folder).is_dir() {
        bail!("{} has no {folder}", deb.display());
    }
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    Ok(())
}
