//! Finds the eBPF objects that `cargo xtask build` made, so that the binary can
//! carry them.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=PINSCOPE_EBPF_DIR");
    let directory = env::var_os("PINSCOPE_EBPF_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/ebpf"),
        PathBuf::from,
    );
    for (flavour, variable) in [
        ("modern", "PINSCOPE_EBPF_MODERN"),
        ("baseline", "PINSCOPE_EBPF_BASELINE"),
    ] {
        let object = directory.join(format!("pinscope-{flavour}.o"));
        println!("cargo::rerun-if-changed={}", object.display());
        if object.exists() {
            println!("cargo::rustc-env={variable}={}", object.display());
        } else {
            println!(
                "cargo::error=no eBPF object at {}; `cargo xtask build` makes it",
                object.display()
            );
        }
    }
}
