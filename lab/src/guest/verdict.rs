//! What the host hears of a guest: hello, the work's verdict, and then the power goes off.
//! Leaves out the work.

use std::thread;

use anyhow::Context as _;
use rustix::system::{RebootCommand, reboot, uname};

use super::{
    forward,
    job::Job,
    line::{self, LineReader, LineWriter},
};
use crate::wire::Frame;

/// Says hello, does the work, tells its verdict and powers off; comes back only if that failed.
pub fn give(
    job: &Job,
    work: impl FnOnce(LineReader, &LineWriter) -> anyhow::Result<u8>,
) -> anyhow::Result<()> {
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
    let verdict = work(reader, &writer);
    writer.send(&match verdict {
        Ok(code) => Frame::Exit(code),
        Err(error) => Frame::Fault(format!("{error:#}")),
    });
    writer.drain();
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff).context("cannot power off")
}
