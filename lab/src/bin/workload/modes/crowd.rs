//! Pins on pages that many processes have mapped, none of which does anything: each mapping is a
//! reference of its own, and a thousand of them look like a pin to whoever only counts references.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::counts::Counts;
use crate::kernel::fork::{fork, leave};
use crate::kernel::memory::{Kind, Memory};
use crate::kernel::uring::Ring;
use crate::session::Session;
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;

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
    let ring = Ring::new()?;
    ring.register(memory.mapping.span())?;
    let mut counts = Counts {
        pages_pinned: args.pages as u64,
        calls: 1,
        ..Counts::default()
    };
    let mut sleepers = Sleepers(Vec::new());
    for _process in 0..args.processes {
        let Some(pid) = fork().context("a process of the crowd")? else {
            memory.mapping.touch(memory.mapping.span());
            // SAFETY: stops until a signal comes, and that ends it.
            unsafe { libc::pause() };
            leave();
        };
        sleepers.0.push(pid);
    }
    session.stay_in("held", &counts)?;

    let before = PinCounters::read()?;
    ring.unregister()?;
    drop(sleepers);
    before.wait_for_release(args.pages as u64)?;
    counts.pages_released = counts.pages_pinned;
    session.pass("released", &counts)?;
    Ok(counts)
}
