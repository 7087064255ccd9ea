//! SHA-256 of files, as Debian's lists and our lock file write it; leaves out any other sum.

use std::{fmt::Write as _, fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// The file's sum in lower-case hexadecimal digits.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(context)? {
            0 => break,
            read => sum.update(&buffer[..read]),
        }
    }
    let mut text = String::with_capacity(64);
    for byte in sum.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
