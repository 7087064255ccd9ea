//! Kernels kept under `target/kernels/SERIES`: the boot image and the module tree.
//! Leaves out which release it is to be, which the lock says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Locked, archive, folder};
use crate::{
    arch::Arch,
    debian::apt::{self, Apt},
    refused, say, setup,
};

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) series: String,
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    /// The folder that holds its modules, if the archive has them.
    pub(crate) modules: Option<PathBuf>,
}

impl Kernel {
    /// What it runs on.
    pub(crate) fn arch(&self) -> Arch {
        Arch::of_kernel(&self.series)
    }
}

/// Written last into the folder: what was asked for and what was taken.
#[derive(Serialize, Deserialize)]
struct Record {
    asked: Locked,
    taken: Locked,
}

/// The kernel if it is there already, complete, for this entry of the lock.
pub(crate) fn kept(locked: &Locked) -> Option<Kernel> {
    let folder = folder(&locked.series);
    let record = fs::read_to_string(folder.join("kernel.toml")).ok()?;
    let record: Record = toml::from_str(&record).ok()?;
    if record.asked != *locked {
        return None;
    }
    let modules = folder.join("modules");
    Some(Kernel {
        series: locked.series.clone(),
        release: record.taken.release,
        image: folder.join("vmlinuz"),
        modules: modules.is_dir().then_some(modules),
    })
}

/// The kernel, fetched if it is not there yet.
pub(crate) fn bring(locked: &Locked) -> anyhow::Result<Kernel> {
    if let Some(kernel) = kept(locked) {
        return Ok(kernel);
    }
    let _only_one = setup::lock()?;
    if let Some(kernel) = kept(locked) {
        return Ok(kernel);
    }
    let apt = Apt::ready(Arch::of_kernel(&locked.series))?;
    let (taken, packages) = find(&apt, locked)?;
    let megabytes = packages.iter().map(|package| package.bytes).sum::<u64>() >> 20;
    say::step(
        "kernels",
        format_args!("fetching {} ({megabytes} MB)", taken.release),
    );
    unpack(
        &apt,
        &packages,
        &Record {
            asked: locked.clone(),
            taken,
        },
    )?;
    kept(locked).with_context(|| format!("the kernel {} just unpacked is not there", locked.series))
}

/// The packages of the locked release, or of the newest one if that is gone.
fn find(apt: &Apt, locked: &Locked) -> anyhow::Result<(Locked, Vec<apt::Package>)> {
    if let Some(packages) = listed(apt, locked)? {
        return Ok((locked.clone(), packages));
    }
    let newest = archive::newest(&locked.series)?.ok_or_else(|| {
        refused(format!(
            "Debian's archive has no kernel of series {} any more",
            locked.series
        ))
    })?;
    say::step(
        "kernels",
        format_args!(
            "{} is gone from the archive; taking {} (`cargo xtask kernels update` locks it)",
            locked.release, newest.release
        ),
    );
    let packages = listed(apt, &newest)?.context("the archive lost a kernel while it was read")?;
    Ok((newest, packages))
}

fn listed(apt: &Apt, locked: &Locked) -> anyhow::Result<Option<Vec<apt::Package>>> {
    let find = |wanted: &super::Package| {
        apt.find(&wanted.name, |listed| {
            listed.version == wanted.version && listed.sha256 == wanted.sha256
        })
    };
    locked.packages.iter().map(find).collect()
}

fn unpack(apt: &Apt, packages: &[apt::Package], record: &Record) -> anyhow::Result<()> {
    let place = folder(&record.asked.series);
    let parent = place.parent().context("kernels have a folder")?;
    fs::create_dir_all(parent)?;
    let scratch = tempfile::tempdir_in(parent)?;
    let (files, ready) = (scratch.path().join("files"), scratch.path().join("ready"));
    for package in packages {
        let deb = apt.download(package, &scratch.path().join(&package.name))?;
        apt::unpack(&deb, &files)?;
    }
    let release = &record.taken.release;
    fs::create_dir(&ready)?;
    let image = first(
        &files,
        &[
            &format!("boot/vmlinuz-{release}"),
            &format!("usr/lib/modules/{release}/vmlinuz"),
        ],
    )
    .with_context(|| format!("the packages of {release} hold no kernel"))?;
    fs::rename(image, ready.join("vmlinuz"))?;
    let config = first(
        &files,
        &[
            &format!("boot/config-{release}"),
            &format!("usr/lib/modules/{release}/config"),
        ],
    );
    if let Some(config) = config {
        fs::rename(config, ready.join("config"))?;
    }
    let trees = [
        format!("lib/modules/{release}"),
        format!("usr/lib/modules/{release}"),
    ];
    if let Some(tree) = trees
        .iter()
        .map(|tree| files.join(tree))
        .find(|tree| tree.join("kernel").is_dir())
    {
        fs::rename(tree, ready.join("modules"))?;
    }
    fs::write(ready.join("kernel.toml"), toml::to_string_pretty(record)?)?;
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(ready, &place)
        .with_context(|| format!("cannot keep the kernel at {}", place.display()))
}

fn first(folder: &Path, candidates: &[&str]) -> Option<PathBuf> {
    candidates
        .iter()
        .map(|candidate| folder.join(candidate))
        .find(|path| path.is_file())
}
