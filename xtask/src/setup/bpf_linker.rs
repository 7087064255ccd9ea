//! The linker that makes eBPF objects out of Rust; leaves out using it, which is `build::ebpf`.

use std::{fs, process::Command};

use crate::{paths, process, say};

/// The last that loads the LLVM which comes with rustc; later ones want one of the system's.
const VERSION: &str = "0.10.3";

/// Builds it from its published source.
pub(crate) fn bring() -> anyhow::Result<()> {
    let stamp = paths::tools().join("bpf-linker.version");
    let linker = paths::tools().join("bin/bpf-linker");
    if linker.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == VERSION) {
        return Ok(());
    }
    say::step(
        "setup",
        format_args!("building bpf-linker {VERSION} (takes a minute or two)"),
    );
    let scratch = paths::tools().join("build");
    process::run(
        Command::new("cargo")
            .args([
                "install",
                "--quiet",
                "--locked",
                "--force",
                "bpf-linker",
                "--version",
                VERSION,
            ])
            .arg("--root")
            .arg(paths::tools())
            .arg("--target-dir")
            .arg(&scratch)
            .env_remove("RUSTFLAGS")
            .current_dir(paths::root()),
    )?;
    fs::remove_dir_all(&scratch)?;
    fs::write(stamp, VERSION)?;
    Ok(())
}
