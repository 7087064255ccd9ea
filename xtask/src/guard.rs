//! Starts a program that dies with xtask, however xtask ends. Hidden: the lab runs QEMU through it.
//! Leaves out waiting: the program takes this process's place.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command, process::ExitCode};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// What takes this process's place.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The process whose death is the program's.
    parent: i32,
    /// Program and arguments.
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

/// The command line that runs `program` under the guard.
pub(crate) fn command(program: &std::path::Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find xtask itself")?);
    command
        .arg("guard")
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(program);
    Ok(command)
}

/// Becomes the program; comes back only if that failed.
pub(crate) fn verb(options: Options) -> anyhow::Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot tie a child to xtask")?;
    if getppid() != Pid::from_raw(options.parent) {
        bail!("xtask is gone already");
    }
    let (program, arguments) = options.command.split_first().context("no program named")?;
    Err(Command::new(program).args(arguments).exec())
        .with_context(|| format!("cannot start {}", program.display()))
}
