//! `cargo xtask setup`: brings what is missing, says so, and does nothing the second time.
//! Leaves out the lab's kernels: each is brought when it is first asked for.

mod crates;
pub(crate) mod cross;
pub(crate) mod packages;
pub(crate) mod qemu;
mod rust_src;
mod system;

use std::fs::{self, File};

use anyhow::Context as _;

use crate::{arch::Arch, paths};

/// Everything that building for this architecture, and the lab for its kernels, need.
pub(crate) fn all(arch: Arch) -> anyhow::Result<()> {
    to_build(arch)?;
    for_guests(arch)
}

/// What building for this architecture needs of it.
pub(crate) fn to_build(arch: Arch) -> anyhow::Result<()> {
    let _only_one = lock()?;
    system::bring()?;
    rust_src::bring()?;
    crates::BPF_LINKER.bring()?;
    cross::bring(arch)?;
    packages::bring()
}

/// What making a package for this architecture needs.
pub(crate) fn to_package(arch: Arch) -> anyhow::Result<()> {
    to_build(arch)?;
    let _only_one = lock()?;
    crates::CARGO_DEB.bring()
}

/// What booting a guest, and building its init, needs.
pub(crate) fn for_lab(arch: Arch) -> anyhow::Result<()> {
    let only_one = lock()?;
    system::bring()?;
    cross::bring(arch)?;
    packages::bring()?;
    drop(only_one);
    for_guests(arch)
}

fn for_guests(arch: Arch) -> anyhow::Result<()> {
    let _only_one = lock()?;
    qemu::bring(arch)?;
    packages::bring_userland(arch)
}

/// Held while tools or kernels are brought: two runs at once would unpack over each other.
pub(crate) fn lock() -> anyhow::Result<File> {
    fs::create_dir_all(paths::target())?;
    let file = File::create(paths::target().join(".setup.lock"))?;
    file.lock().context("cannot lock target/.setup.lock")?;
    Ok(file)
}
