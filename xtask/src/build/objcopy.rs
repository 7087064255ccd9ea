//! LLVM's objcopy, which comes with the compiler: of one version everywhere, and it knows every
//! architecture, that of eBPF as well.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::ensure;

use crate::{arch::Arch, process};

/// Where it is.
pub(crate) struct Objcopy {
    pub(crate) program: PathBuf,
    /// Where its libraries are.
    pub(crate) libraries: PathBuf,
}

impl Objcopy {
    pub(crate) fn of_the_compiler() -> anyhow::Result<Self> {
        let sysroot = process::sysroot()?;
        let program = sysroot
            .join("lib/rustlib")
            .join(Arch::HOST.target())
            .join("bin/rust-objcopy");
        ensure!(program.exists(), "there is no {}", program.display());
        Ok(Self {
            program,
            libraries: sysroot.join("lib"),
        })
    }

    /// Copies an object without what debuggers read. Symbols and BTF stay.
    pub(super) fn without_debug_sections(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        process::run(
            Command::new(&self.program)
                .arg("--strip-debug")
                .args([from, to])
                .env("LD_LIBRARY_PATH", &self.libraries),
        )
    }
}
