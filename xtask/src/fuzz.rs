//! `cargo xtask fuzz`: hands changed input to what parses, for a time. Leaves out the targets, which are tests of the agent
//! whose names begin with `fuzz_`.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::paths;

/// What is fuzzed, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target runs; two of them run at a time
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
    /// Only targets that have this in their name
    #[arg(default_value = "")]
    target: String,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["test", "--package", "pinscope", "--lib"])
        .arg(format!("fuzz_{}", options.target))
        .args(["--", "--nocapture", "--test-threads=2"])
        .env("PINSCOPE_FUZZ_SECONDS", options.seconds.to_string())
        .current_dir(paths::root())
        .status()
        .context("cannot start cargo")?;
    Ok(ExitCode::from(u8::from(!status.success())))
}
