//! Debian's programs in a guest: packages with all that they depend on, unpacked under `target/packages`
//! and put into the root file system. Leaves out configuring them: no script of a package ever runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::initramfs::Initramfs;
use crate::{arch::Arch, debian::apt::Apt, kernels, paths, refused, say, setup};

/// The releases that a guest's packages may be from: one for each guest, for there is one C library.
pub(crate) const SUITES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// What nobody reads in a guest, as places in a package.
const LEFT_OUT: &[&str] = &[
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian/overrides",
    "usr/share/locale",
    "usr/share/man",
];

/// Where a package's folders lie in a guest, which has one folder for all programs.
const PLACES: &[(&str, &str)] = &[
    ("bin", "bin"),
    ("sbin", "bin"),
    ("usr/bin", "bin"),
    ("usr/sbin", "bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
];

/// The release whose own kernel comes nearest to this series.
pub(crate) fn suite_of(series: &str) -> &'static str {
    match kernels::numbers(series) {
        "5.10" => "bullseye",
        "6.1" => "bookworm",
        _ => "trixie",
    }
}

/// The folders of these packages, each fetched and unpacked with all that it depends on if it is not there yet.
pub(crate) fn bring(names: &[String], suite: &str, arch: Arch) -> anyhow::Result<Vec<PathBuf>> {
    names
        .iter()
        .map(|name| bring_one(name, suite, arch))
        .collect()
}

fn bring_one(name: &str, suite: &str, arch: Arch) -> anyhow::Result<PathBuf> {
    let folder = match arch {
        Arch::X86_64 => suite.to_owned(),
        Arch::Aarch64 => format!("{suite}-{}", arch.debian()),
    };
    let parent = paths::target().join("packages").join(folder);
    let place = parent.join(name);
    if !is_name(name) {
        return Err(refused(format!("{name} is no name of a Debian package")));
    }
    if place.is_dir() {
        return Ok(place);
    }
    let _only_one = setup::lock()?;
    if place.is_dir() {
        return Ok(place);
    }
    let apt = Apt::ready(arch)?;
    if apt.in_suite(name, suite).is_err() {
        return Err(refused(format!("Debian {suite} lists no package {name}")));
    }
    say::step("lab", format_args!("fetching {name} of Debian {suite}"));
    fs::create_dir_all(&parent)?;
    let scratch = tempfile::tempdir_in(&parent)?;
    let files = scratch.path().join("files");
    apt.unpack_with_dependencies(name, suite, &files)?;
    // Last and at once: that it is there says that everything is.
    fs::rename(&files, &place)
        .with_context(|| format!("cannot keep {name} at {}", place.display()))?;
    Ok(place)
}

/// What a guest needs of memory for the packages in these folders: the archive, and its files in a file
/// system that may grow to half of all memory.
pub(crate) fn memory(folders: &[PathBuf]) -> anyhow::Result<u64> {
    let bytes: u64 = folders
        .iter()
        .map(|folder| bytes(folder))
        .sum::<anyhow::Result<u64>>()?;
    Ok(3 * bytes)
}

fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        total += if found.is_dir() {
            bytes(&entry.path())?
        } else {
            found.len()
        };
    }
    Ok(total)
}

/// As Debian's policy has it, so that it can be nothing else on a command line or in a path.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// Puts the packages unpacked in `folder` beside what the archive has; what it has already stays.
/// `within` gives a guest's place in the archive.
pub(crate) fn add(
    root: &mut Initramfs,
    folder: &Path,
    within: fn(&str) -> String,
) -> anyhow::Result<()> {
    add_below(root, folder, "", within)
}

fn add_below(
    root: &mut Initramfs,
    folder: &Path,
    inner: &str,
    within: fn(&str) -> String,
) -> anyhow::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name
            .to_str()
            .with_context(|| format!("{} has no name in UTF-8", entry.path().display()))?;
        let inner = format!("{inner}{name}");
        if LEFT_OUT.contains(&inner.as_str()) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add_below(root, &entry.path(), &format!("{inner}/"), within)?;
            continue;
        }
        let place = within(&format!("/{}", place(&inner)));
        if root.has(&place) {
            continue;
        }
        if kind.is_symlink() {
            let to = fs::read_link(entry.path())?;
            let to = to
                .to_str()
                .with_context(|| format!("{inner} leads to no name in UTF-8"))?;
            root.link(&place, to)?;
        } else {
            root.copy(&entry.path(), &place)?;
        }
    }
    Ok(())
}

/// Where a package's file lies in a guest.
fn place(inner: &str) -> String {
    PLACES
        .iter()
        .find_map(|(from, to)| {
            let rest = inner.strip_prefix(from)?.strip_prefix('/')?;
            Some(format!("{to}/{rest}"))
        })
        .unwrap_or_else(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lie_in_one_folder_and_libraries_in_one() {
        assert_eq!(place("usr/sbin/bpftrace"), "bin/bpftrace");
        assert_eq!(place("bin/sh"), "bin/sh");
        assert_eq!(
            place("lib64/ld-linux-x86-64.so.2"),
            "usr/lib64/ld-linux-x86-64.so.2"
        );
        assert_eq!(place("lib/x/libc.so.6"), "usr/lib/x/libc.so.6");
        assert_eq!(place("usr/lib/x/libz.so.1"), "usr/lib/x/libz.so.1");
        assert_eq!(place("libexec/x"), "libexec/x");
        assert_eq!(place("etc/magic"), "etc/magic");
    }

    #[test]
    fn what_is_no_package_name_is_refused() {
        for name in ["fio", "libstdc++6", "g++", "0ad"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-y", "../fio", "fio/sid", "fio=1", "Fio", "fio "] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_the_archive_has_already_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let package = scratch.path().join("package");
        fs::create_dir_all(package.join("usr/bin")).unwrap();
        fs::create_dir_all(package.join("usr/share/doc/fio")).unwrap();
        fs::write(package.join("usr/bin/pinscope"), "another").unwrap();
        fs::write(package.join("usr/bin/fio"), "fio").unwrap();
        fs::write(package.join("usr/share/doc/fio/README"), "text").unwrap();
        let mut archive = Initramfs::create(&scratch.path().join("i.cpio")).unwrap();
        archive.file("bin/pinscope", 0o755, b"ours").unwrap();
        add(&mut archive, &package, str::to_owned).unwrap();
        // The same package by way of another one that depends on it.
        add(&mut archive, &package, str::to_owned).unwrap();
        archive.finish().unwrap();
        let bytes = fs::read(scratch.path().join("i.cpio")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("bin/fio").count(), 1);
        assert!(!text.contains("another") && !text.contains("README"));
    }
}
