//! Pins on pages that many processes have mapped, none of which does anything: each mapping is a
//! reference of its own, and a thousand of them look like a pin to whoever only counts references.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::counts::Counts;
use crate::kernel::fork::{fork, leave};
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::modes::longterm_pin;
use crate::session::Session;
use lab::page::page_bytes;

/// How much, and how many.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages of 4 KiB pinned, and mapped by all of them.
    #[arg(long, default_value_t = 16)]
    pages: usize,
    /// Processes that sleep.
    #[arg(long, default_value_t = 1200)]
    processes: usize,
}

/// They end with this value.
struct Sleepers(Vec<Pid>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        for pid in &self.0 {
            // It can only fail for one that is gone.
            let _gone = kill_process(*pid, Signal::KILL);
        }
        for pid in &self.0 {
            let _gone = waitpid(Some(*pid), WaitOptions::empty());
        }
    }
}

/// Phases: `held`, `released`.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    let memory = Memory::make(Kind::Memfd, &session.dir, args.pages * page_bytes())?;
    let mapping = &memory.mapping;
    let pin = || {
        let ring = Ring::new()?;
        ring.register(mapping.span())?;
        let mut sleepers = Sleepers(Vec::new());
        for _process in 0..args.processes {
            let Some(pid) = fork().context("a process of the crowd")? else {
                mapping.touch(mapping.span());
                // SAFETY: stops until a signal comes, and that ends it.
                unsafe { libc::pause() };
                leave();
            };
            sleepers.0.push(pid);
        }
        Ok((ring, sleepers))
    };
    longterm_pin::hold(session, args.pages as u64, pin, |(ring, sleepers)| {
        ring.unregister()?;
        drop(sleepers);
        Ok(())
    })
}
