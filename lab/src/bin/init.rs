//! The lab guest's PID 1: mounts, hello, the job, its verdict, power off; or the way into a system
//! that has an init of its own. Leaves out how each is done, which is `lab::guest`.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;
use lab::guest::{
    collect, command, disks,
    job::{JOB_PATH, Job},
    line::{LineReader, LineWriter},
    modules, mounts, processes, system, verdict,
};

fn main() -> anyhow::Result<()> {
    mounts::mount_all()?;
    let job = fs::read(JOB_PATH).with_context(|| format!("cannot read {JOB_PATH}"))?;
    let job: Job = serde_json::from_slice(&job).with_context(|| format!("{JOB_PATH} is no job"))?;
    let loaded = modules::load_all(&job.modules);
    let Some(system) = &job.system else {
        return verdict::give(&job, |reader, writer| {
            loaded?;
            carry_out(&job, reader, writer)
        });
    };
    let Err(error) = loaded.and_then(|()| system::enter(&job, system));
    // Entering may have gone as far as taking the serial lines' names away.
    mounts::mount_all()?;
    verdict::give(&job, |_reader, _writer| Err(error))
}

fn carry_out(job: &Job, reader: LineReader, writer: &LineWriter) -> anyhow::Result<u8> {
    for disk in &job.disks {
        disks::attach(disk, Path::new("/"))?;
    }
    bring_up_loopback()?;
    let code = command::run(job, reader, writer, processes::kill_the_rest)?;
    if let Some(fetch) = &job.fetch {
        collect::pack(fetch)?;
    }
    Ok(code)
}

fn bring_up_loopback() -> anyhow::Result<()> {
    let child = Command::new("/bin/ip")
        .args(["link", "set", "lo", "up"])
        .spawn()
        .context("cannot start ip")?;
    let code = processes::wait_for(child.id())?;
    anyhow::ensure!(
        code == 0,
        "cannot bring up the loopback interface: ip ended with {code}"
    );
    Ok(())
}
