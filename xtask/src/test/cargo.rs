//! The checks that cargo carries out: formatting, lints, documentation, tests.
//! Leaves out the eBPF programs' lints, which need their own flags.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::Count;
use crate::{paths, process};

pub(super) fn formatting() -> anyhow::Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(
        cargo()
            .args(["fmt", "--check"])
            .current_dir(paths::root().join("probe-ebpf")),
    )
}

pub(super) fn lints() -> anyhow::Result<()> {
    process::run(cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

pub(super) fn documentation() -> anyhow::Result<()> {
    process::run(
        cargo()
            .args([
                "doc",
                "--quiet",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Runs the workspace's tests, shows them, and adds up what the runners counted.
pub(super) fn tests() -> Count {
    let mut count = Count::default();
    let ended = run_tests(&mut count);
    count.end(ended);
    count
}

fn run_tests(count: &mut Count) -> anyhow::Result<()> {
    let mut child = cargo()
        .args(["test", "--workspace", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        count.passed += passed(&line).unwrap_or(0);
        count.failed.extend(failed(&line));
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo test ended with {status}");
    ensure!(count.passed > 0, "cargo test ran no test");
    Ok(())
}

/// Of a line such as `test result: ok. 29 passed; 0 failed; 0 ignored; …`.
fn passed(line: &str) -> Option<usize> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    rest.split_once(" passed")?.0.parse().ok()
}

/// Of a line such as `test rows::it_is_sorted ... FAILED`.
fn failed(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(name.to_owned())
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root());
    command
}

#[cfg(test)]
mod tests {
    use super::{failed, passed};

    #[test]
    fn a_runners_lines_are_read() {
        let last =
            "test result: FAILED. 29 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!((passed(last), failed(last)), (Some(29), None));
        let bad = "test rows::it_is_sorted ... FAILED";
        assert_eq!(
            (passed(bad), failed(bad)),
            (None, Some("rows::it_is_sorted".to_owned()))
        );
        let good = "test rows::it_is_sorted ... ok";
        assert_eq!((passed(good), failed(good)), (None, None));
    }
}
