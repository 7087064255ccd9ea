//! Loads the kernel modules that the job lists; leaves out finding them and their order, which the host does.

use std::fs::File;

use anyhow::Context as _;
use rustix::{io::Errno, system::finit_module};

/// Loads the modules at `paths`, in this order; one that is there already is fine.
pub fn load_all(paths: &[String]) -> anyhow::Result<()> {
    for path in paths {
        let module = File::open(path).with_context(|| format!("cannot open module {path}"))?;
        match finit_module(&module, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot load {path}")),
        }
    }
    Ok(())
}
