//! The lab guest's PID 1: mounts, hello, the job, its verdict, power off.
//! Leaves out how each is done, which is `lab::guest`.

use std::{fs, process::Command, thread};

use anyhow::Context as _;
use lab::{
    guest::{
        collect, command, disks, forward,
        job::{JOB_PATH, Job},
        line::{self, LineReader, LineWriter},
        modules, mounts, processes,
    },
    wire::Frame,
};
use rustix::system::{RebootCommand, reboot, uname};

fn main() -> anyhow::Result<()> {
    mounts::mount_all()?;
    let job = fs::read(JOB_PATH).with_context(|| format!("cannot read {JOB_PATH}"))?;
    let job: Job = serde_json::from_slice(&job).with_context(|| format!("{JOB_PATH} is no job"))?;
    // Both lines are raw before the host hears of us: until then the tty would echo what it sends.
    let (reader, writer) = line::open(&job.command_line)?;
    let forward_line = line::open(&job.forward_line)?;
    writer.send(&Frame::Hello(
        uname().release().to_string_lossy().into_owned(),
    ));

    if let Some(port) = job.forward {
        let (from_host, to_host) = forward_line;
        thread::spawn(move || forward::serve(from_host, &to_host, port));
    }
    let verdict = carry_out(&job, reader, &writer);
    writer.send(&match verdict {
        Ok(code) => Frame::Exit(code),
        Err(error) => Frame::Fault(format!("{error:#}")),
    });
    writer.drain();
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff).context("cannot power off")
}

fn carry_out(job: &Job, reader: LineReader, writer: &LineWriter) -> anyhow::Result<u8> {
    modules::load_all(&job.modules)?;
    for disk in &job.disks {
        disks::attach(disk)?;
    }
    bring_up_loopback()?;
    let code = command::run(job, reader, writer)?;
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
