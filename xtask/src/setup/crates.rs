//! Programs that are built from their sources on crates.io; leaves out using them.

use std::{fs, process::Command};

use crate::{paths, process, say};

/// A program, and the one version of it that is taken.
pub(crate) struct Program {
    name: &'static str,
    version: &'static str,
    what_for: &'static str,
}

/// The linker that makes eBPF objects out of Rust: the last that loads the LLVM which comes with
/// rustc; later ones want one of the system's.
pub(crate) const BPF_LINKER: Program = Program {
    name: "bpf-linker",
    version: "0.10.3",
    what_for: "which links eBPF objects",
};

/// Makes Debian packages.
pub(crate) const CARGO_DEB: Program = Program {
    name: "cargo-deb",
    version: "3.8.0",
    what_for: "which makes Debian packages",
};

impl Program {
    /// Builds it unless it is there.
    pub(crate) fn bring(&self) -> anyhow::Result<()> {
        let Self {
            name,
            version,
            what_for,
        } = self;
        let stamp = paths::tools().join(format!("{name}.version"));
        let program = paths::tools().join("bin").join(name);
        if program.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == *version) {
            return Ok(());
        }
        say::step(
            "setup",
            format_args!("building {name} {version}, {what_for} (takes a minute or two)"),
        );
        let scratch = paths::tools().join("build");
        process::run(
            Command::new("cargo")
                .args(["install", "--quiet", "--locked", "--force", name])
                .args(["--version", version])
                .arg("--root")
                .arg(paths::tools())
                .arg("--target-dir")
                .arg(&scratch)
                .env_remove("RUSTFLAGS")
                .current_dir(paths::root()),
        )?;
        fs::remove_dir_all(&scratch)?;
        fs::write(stamp, version)?;
        Ok(())
    }
}
