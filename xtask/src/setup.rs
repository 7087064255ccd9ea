//! `cargo xtask setup`: brings what is missing, says so, and does nothing the second time.
//! Leaves out the lab's kernels: each is brought when it is first asked for.

mod bpf_linker;
mod packages;
pub(crate) mod qemu;
mod rust_src;
mod system;

use std::fs::{self, File};

use anyhow::Context as _;

use crate::paths;

/// Everything that building and the lab need.
pub(crate) fn all() -> anyhow::Result<()> {
    let _only_one = lock()?;
    system::bring()?;
    rust_src::bring()?;
    bpf_linker::bring()?;
    qemu::bring()?;
    packages::bring()
}

/// What booting a guest needs of it.
pub(crate) fn for_lab() -> anyhow::Result<()> {
    let _only_one = lock()?;
    system::bring()?;
    qemu::bring()?;
    packages::bring()
}

/// Held while tools or kernels are brought: two runs at once would unpack over each other.
pub(crate) fn lock() -> anyhow::Result<File> {
    fs::create_dir_all(paths::target())?;
    let file = File::create(paths::target().join(".setup.lock"))?;
    file.lock().context("cannot lock target/.setup.lock")?;
    Ok(file)
}
