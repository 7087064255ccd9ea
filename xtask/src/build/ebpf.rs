//! Compiles the kernel-side programs for an architecture, once for each flavour that the agent carries.
//! Leaves out choosing between them, which the agent does when it has seen the kernel.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

use super::objcopy::Objcopy;
use crate::{arch::Arch, paths, process};

const TARGET: &str = "bpfel-unknown-none";

/// One way to compile the programs.
struct Flavour {
    name: &'static str,
    /// The instruction set that the oldest kernel of this flavour verifies.
    cpu: &'static str,
    /// Features of the crate.
    features: &'static str,
}

const FLAVOURS: &[Flavour] = &[
    Flavour {
        name: "modern",
        cpu: "v3",
        features: "",
    },
    Flavour {
        name: "baseline",
        cpu: "v3",
        features: "baseline",
    },
];

/// Makes `target/ebpf/pinscope-ARCH-FLAVOUR.o` for every flavour; an object that did not change keeps its time.
pub(crate) fn objects(arch: Arch) -> anyhow::Result<()> {
    FLAVOURS.iter().try_for_each(|flavour| {
        object(arch, flavour).with_context(|| {
            let arch = arch.name();
            format!("cannot build the {} eBPF object for {arch}", flavour.name)
        })
    })
}

/// Lints the programs as strictly as everything else.
pub(crate) fn clippy() -> anyhow::Result<()> {
    Arch::ALL.into_iter().try_for_each(|arch| {
        FLAVOURS.iter().try_for_each(|flavour| {
            process::run(cargo(arch, flavour, "clippy")?.args(["--", "-D", "warnings"]))
        })
    })
}

fn object(arch: Arch, flavour: &Flavour) -> anyhow::Result<()> {
    process::run(&mut cargo(arch, flavour, "build")?)?;
    let built = target(arch, flavour).join(TARGET).join("release/pinscope");
    let place =
        paths::target()
            .join("ebpf")
            .join(format!("pinscope-{}-{}.o", arch.name(), flavour.name));
    // What the agent carries is every host's to read at its start; the rest stays where it was built.
    let stripped = built.with_extension("stripped");
    Objcopy::of_the_compiler()?.without_debug_sections(&built, &stripped)?;
    let object =
        fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    ensure!(
        object.starts_with(b"\x7fELF"),
        "{} is no object",
        built.display()
    );
    // The agent's build depends on it: the same bytes must not look new.
    if fs::read(&place).is_ok_and(|old| old == object) {
        return Ok(());
    }
    fs::create_dir_all(paths::target().join("ebpf"))?;
    fs::write(&place, object).with_context(|| format!("cannot write {}", place.display()))
}

fn cargo(arch: Arch, flavour: &Flavour, verb: &str) -> anyhow::Result<Command> {
    let linker = paths::tools().join("bin/bpf-linker");
    ensure!(
        linker.exists(),
        "there is no bpf-linker: run `cargo xtask setup`"
    );
    let mut flags = vec![
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Ctarget-cpu={}", flavour.cpu),
        format!("-Clinker={}", linker.display()),
        // The target is one for all; aya and our own `arch` ask for this.
        format!("--cfg=bpf_target_arch=\"{}\"", arch.name()),
    ];
    flags.extend(super::same_everywhere()?);
    let mut command = Command::new("cargo");
    command
        .args([
            verb,
            "--quiet",
            "--release",
            "--locked",
            "--target",
            TARGET,
            "-Z",
            "build-std=core",
            "--features",
            flavour.features,
        ])
        .arg("--target-dir")
        .arg(target(arch, flavour))
        .current_dir(paths::root().join("probe-ebpf"))
        // build-std is not stable; the pinned compiler makes it dependable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS");
    Ok(command)
}

/// Apart for each: cargo would otherwise link all again whenever another one is asked for.
fn target(arch: Arch, flavour: &Flavour) -> PathBuf {
    let folder = format!("{}-{}", arch.name(), flavour.name);
    paths::target().join("ebpf-build").join(folder)
}
