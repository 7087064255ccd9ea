//! Finds the eBPF objects that `cargo xtask build` made for the architecture that
//! this is built for, and packs them, so that the binary can carry them.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=PINSCOPE_EBPF_DIR");
    // As cargo says now: a script that was compiled elsewhere would name that place for ever.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let directory = env::var_os("PINSCOPE_EBPF_DIR")
        .map_or_else(|| package.join("../target/ebpf"), PathBuf::from);
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let packed = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    for flavour in ["modern", "baseline"] {
        let object = directory.join(format!("pinscope-{arch}-{flavour}.o"));
        println!("cargo::rerun-if-changed={}", object.display());
        match fs::read(&object) {
            Ok(bytes) => fs::write(
                packed.join(format!("{flavour}.lz4")),
                lz4_flex::compress_prepend_size(&bytes),
            )?,
            Err(why) => println!(
                "cargo::error=no eBPF object at {}: {why}; `cargo xtask build --target {arch}` makes it",
                object.display()
            ),
        }
    }
    Ok(())
}
