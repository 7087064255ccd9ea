//! What it takes to build for another architecture than this machine's: the standard library, a C library, a linker, and a
//! compiler for the little C that a crate has (ring).
//! Leaves out the build itself, which is `build::guest`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::{
    arch::Arch,
    debian::apt::{self, Apt},
    paths, process, say,
};

/// Debian's release that the C library is taken from. Programs are static: where they run has no say in it.
const SUITE: &str = "trixie";

/// What is linked in, each of the other architecture: the C library, and the compiler's own.
const PACKAGES: [&str; 2] = ["libc6-dev", "libgcc-14-dev"];

/// The release that the compiler is taken from: it runs on that one and on newer ones.
const COMPILER_SUITE: &str = "bookworm";

/// A part of the compiler.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    /// From C to objects.
    Cc,
    /// From objects to an archive.
    Ar,
}

/// Brings what is missing; for this machine's own architecture that is nothing.
pub(crate) fn bring(arch: Arch) -> anyhow::Result<()> {
    if arch == Arch::HOST {
        return Ok(());
    }
    bring_standard_library(arch)?;
    bring_c_library(arch)?;
    bring_compiler(arch)
}

fn bring_c_library(arch: Arch) -> anyhow::Result<()> {
    if linker(arch).exists() {
        return Ok(());
    }
    say::step(
        "setup",
        format_args!(
            "the C library of {} from Debian {SUITE} (4 MB)",
            arch.name()
        ),
    );
    let apt = Apt::ready(arch)?;
    let folder = folder(arch);
    for name in PACKAGES {
        let scratch = tempfile::tempdir_in(paths::target())?;
        let package = apt.in_suite(name, SUITE)?;
        let deb = apt.download(&package, scratch.path())?;
        apt::unpack(&deb, &folder)?;
    }
    write_linker(arch, &folder)
}

/// Brings Debian's compiler for the architecture, which runs on this machine with the libraries of its own compiler.
fn bring_compiler(arch: Arch) -> anyhow::Result<()> {
    if compiler(arch, Tool::Cc).exists() {
        return Ok(());
    }
    say::step(
        "setup",
        format_args!(
            "a C compiler for {} from Debian {COMPILER_SUITE} (31 MB)",
            arch.name()
        ),
    );
    let (apt, folder) = (Apt::ready(Arch::HOST)?, folder(arch));
    let triple = arch.libraries().replace('_', "-");
    for name in [
        format!("gcc-12-{triple}"),
        format!("cpp-12-{triple}"),
        format!("binutils-{triple}"),
        format!("libgcc-12-dev-{}-cross", arch.debian()),
    ] {
        let scratch = tempfile::tempdir_in(paths::target())?;
        let package = apt.in_suite(&name, COMPILER_SUITE)?;
        let deb = apt.download(&package, scratch.path())?;
        apt::unpack(&deb, &folder.join("compiler"))?;
    }
    let root = folder.join("compiler/usr");
    let named = |tool: &str| {
        root.join("bin")
            .join(format!("{}-{tool}", arch.libraries()))
    };
    let (sysroot, binutils) = (folder.display(), named(""));
    for (tool, command) in [
        (Tool::Ar, named("ar").display().to_string()),
        (
            Tool::Cc,
            format!(
                "{} -B{} --sysroot={sysroot}",
                named("gcc-12").display(),
                binutils.display()
            ),
        ),
    ] {
        let libraries = root.join("lib").join(Arch::HOST.libraries());
        let libraries = libraries.display();
        let script = format!("#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {command} \"$@\"\n");
        write_program(&compiler(arch, tool), &script)?;
    }
    Ok(())
}

/// What compiles C for the architecture.
pub(crate) fn compiler(arch: Arch, tool: Tool) -> PathBuf {
    folder(arch).join(match tool {
        Tool::Cc => "cc",
        Tool::Ar => "ar",
    })
}

/// A linker for the architecture that knows where its libraries are.
pub(crate) fn linker(arch: Arch) -> PathBuf {
    folder(arch).join("linker")
}

/// Whether the compiler has its standard library; if not, it can be built from its sources.
pub(crate) fn has_standard_library(arch: Arch) -> anyhow::Result<bool> {
    Ok(process::sysroot()?
        .join("lib/rustlib")
        .join(arch.target())
        .join("lib")
        .is_dir())
}

fn bring_standard_library(arch: Arch) -> anyhow::Result<()> {
    if has_standard_library(arch)? {
        return Ok(());
    }
    say::step(
        "setup",
        format_args!("the standard library of {}", arch.target()),
    );
    let rustup = process::output(Command::new("rustup").args(["target", "add", arch.target()]));
    if rustup.is_err() || !has_standard_library(arch)? {
        say::step(
            "setup",
            "rustup cannot bring it; it is built from its sources, which takes a minute",
        );
    }
    Ok(())
}

fn folder(arch: Arch) -> PathBuf {
    paths::tools().join(arch.name())
}

/// The linker that comes with Rust, told what a C compiler would tell it: where libraries are, and what
/// a program begins and ends with.
fn write_linker(arch: Arch, folder: &Path) -> anyhow::Result<()> {
    let lld = process::sysroot()?
        .join("lib/rustlib")
        .join(Arch::HOST.target())
        .join("bin/rust-lld");
    ensure!(
        lld.exists(),
        "there is no {}: building for another architecture takes the linker that rustup's toolchains have",
        lld.display()
    );
    let lib = folder.join("usr/lib").join(arch.libraries());
    let gcc = folder
        .join("usr/lib/gcc")
        .join(arch.libraries())
        .join(PACKAGES[1].trim_matches(|it: char| !it.is_ascii_digit()));
    let (root, lld, lib, gcc) = (
        folder.display(),
        lld.display(),
        lib.display(),
        gcc.display(),
    );
    let script = format!(
        "#!/bin/sh\n\
         exec {lld} -flavor gnu --sysroot={root} -L {gcc} -L {lib} \\\n  \
           {lib}/crt1.o {lib}/crti.o {gcc}/crtbeginT.o \"$@\" {gcc}/crtend.o {lib}/crtn.o\n"
    );
    write_program(&linker(arch), &script)
}

/// Last and at once: that it is there says that everything is.
fn write_program(path: &Path, script: &str) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, script)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    fs::rename(&draft, path).with_context(|| format!("cannot keep {}", path.display()))
}
