//! What systemd is asked and told, by the commands that an operator gives. It judges nothing.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// Runs `systemctl` with these arguments and demands that it succeeds.
pub(crate) fn systemctl(arguments: &[&str]) -> Result<String> {
    run("systemctl", arguments)
}

/// One property of a unit.
pub(crate) fn property(unit: &str, name: &str) -> Result<String> {
    let text = systemctl(&["show", "--value", "--property", name, unit])?;
    Ok(text.trim().to_owned())
}

/// What a unit has logged since it was started last.
pub(crate) fn journal(unit: &str) -> Result<String> {
    let invocation = property(unit, "InvocationID")?;
    let this_run = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    run("journalctl", &["--no-pager", "--output", "cat", &this_run])
}

/// Runs a program to its end, demands success and gives its standard output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    ensure!(
        status.success(),
        "{program} {} ended with {status}: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
