//! Where things lie in the repository and in `target`; leaves out what is in them.

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the repository")
}

/// Everything that is made or fetched. Fixed, whatever `CARGO_TARGET_DIR` says for xtask itself:
/// a second checkout of tools and kernels would cost minutes.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Tools that setup brought.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
