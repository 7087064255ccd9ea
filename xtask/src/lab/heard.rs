//! The lab as a person would call it, heard line by line: what fails here is repeated by hand.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    process::{ExitStatus, Stdio},
};

use anyhow::Context as _;

use crate::{guard, paths};

/// Runs `xtask lab` with these arguments and passes on each line that it prints.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    mut hear: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<ExitStatus> {
    let xtask = std::env::current_exe().context("cannot find xtask itself")?;
    // Under the guard it ends with this process, and QEMU with it.
    let mut child = guard::command(&xtask)?
        .arg("lab")
        .args(arguments)
        .current_dir(paths::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the lab")?;
    let output = child.stdout.take().context("the lab has no output")?;
    for line in BufReader::new(output).lines() {
        hear(&line?)?;
    }
    Ok(child.wait()?)
}
