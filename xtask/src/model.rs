//! `cargo xtask model`: searches every interleaving of the modelled page, prints what was found, and holds
//! docs/estimators.md against it. Leaves out the search itself, which is the `model` crate.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use crate::paths;

/// What to do with the findings; without options the table is printed and the document is checked.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write the findings into the document instead of checking it
    #[arg(long)]
    write: bool,
    /// Passed to the model checker as they are, for instance `trace two_walk`; `-- --help` shows all
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    let document = paths::root().join("docs/estimators.md");
    let mut command = Command::new("cargo");
    command
        .args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "model",
            "--",
        ])
        .current_dir(paths::root());
    if options.arguments.is_empty() {
        let how = if options.write { "--write" } else { "--check" };
        command.args(["table", how]).arg(document);
    } else {
        command.args(&options.arguments);
    }
    let status = command.status().context("cannot start cargo")?;
    let code = status.code().or(status.signal().map(|it| 128 + it));
    Ok(ExitCode::from(
        code.and_then(|it| u8::try_from(it).ok()).unwrap_or(1),
    ))
}
