//! Finds the eBPF objects that `cargo xtask build` made for the architecture that
//! this is built for, so that the binary can carry them.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=PINSCOPE_EBPF_DIR");
    // As cargo says now: a script that was compiled elsewhere would name that place for ever.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let directory = env::var_os("PINSCOPE_EBPF_DIR")
        .map_or_else(|| package.join("../target/ebpf"), PathBuf::from);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    for (flavour, variable) in [
        ("modern", "PINSCOPE_EBPF_MODERN"),
        ("baseline", "PINSCOPE_EBPF_BASELINE"),
    ] {
        let object = directory.join(format!("pinscope-{arch}-{flavour}.o"));
        println!("cargo::rerun-if-changed={}", object.display());
        if object.exists() {
            println!("cargo::rustc-env={variable}={}", object.display());
        } else {
            println!(
                "cargo::error=no eBPF object at {}; `cargo xtask build --target {arch}` makes it",
                object.display()
            );
        }
    }
}
