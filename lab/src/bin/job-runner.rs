//! The lab's service in a guest whose PID 1 is another: hello once the system is up, the job, its
//! verdict, power off. Leaves out how each is done, which is `lab::guest`.

use std::{fs, process::Command};

use anyhow::Context as _;
use lab::{
    guest::{
        collect, command,
        job::{JOB_PATH, Job},
        line::LineWriter,
        processes, verdict,
    },
    pin_counters,
    wire::{Frame, Stream},
};

fn main() -> anyhow::Result<()> {
    let job = fs::read(JOB_PATH).with_context(|| format!("cannot read {JOB_PATH}"))?;
    let job: Job = serde_json::from_slice(&job).with_context(|| format!("{JOB_PATH} is no job"))?;
    let up = system_is_up();
    verdict::give(&job, |reader, writer| {
        pin_counters::fold_for_everybody()?;
        tell_what_failed(&up?, writer)?;
        let end_the_rest = processes::kill_the_rest_of_the_cgroup;
        let code = command::run(&job, reader, writer, end_the_rest)?;
        if let Some(fetch) = &job.fetch {
            collect::pack(fetch)?;
        }
        Ok(code)
    })
}

/// Waits for the end of the boot and gives the system's state.
fn system_is_up() -> anyhow::Result<String> {
    systemctl(&["is-system-running", "--wait"])
}

/// A boot that left something behind is no fault of the command, and yet it may be why it fails.
fn tell_what_failed(state: &str, writer: &LineWriter) -> anyhow::Result<()> {
    if state.trim() == "running" {
        return Ok(());
    }
    let failed = systemctl(&["list-units", "--failed", "--plain", "--no-legend"])?;
    let text = format!("lab: the system is {}:\n{failed}", state.trim());
    writer.send(&Frame::Output(Stream::Err, text.into_bytes()));
    Ok(())
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<String> {
    // Its exit code says what it prints.
    let output = Command::new("systemctl")
        .args(arguments)
        .output()
        .context("cannot start systemctl")?;
    String::from_utf8(output.stdout).context("systemctl printed no text")
}
