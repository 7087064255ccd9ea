//! The checks that cargo carries out: formatting, lints, documentation, tests.
//! Leaves out the eBPF programs' lints, which need their own flags.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use super::Count;
use crate::{paths, process, say};

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
    if let Err(error) = run_tests(&mut count) {
        say::step("test", format_args!("FAILED: {error:#}"));
        // Tests that did not even compile were counted by nobody.
        count.failed = count.failed.max(1);
    }
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
        if let Some(more) = counted(&line) {
            count.add(more);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo test ended with {status}");
    ensure!(count.passed > 0, "cargo test ran no test");
    Ok(())
}

/// Of a line such as `test result: ok. 29 passed; 0 failed; 0 ignored; …`.
fn counted(line: &str) -> Option<Count> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut count = Count::default();
    for part in rest.split("; ") {
        match part.split_once(' ') {
            Some((number, "passed")) => count.passed = number.parse().ok()?,
            Some((number, "failed")) => count.failed = number.parse().ok()?,
            _ => {}
        }
    }
    Some(count)
}

fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root());
    command
}

#[cfg(test)]
mod tests {
    use super::{Count, counted};

    #[test]
    fn a_runners_last_line_is_counted() {
        let line =
            "test result: FAILED. 29 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!(
            counted(line),
            Some(Count {
                passed: 29,
                failed: 2
            })
        );
        assert_eq!(counted("test tests::it_works ... ok"), None);
    }
}
