//! An owner as a process of its own, which does what it is told over a socket; and its other end.
//! It keeps no book.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitOptions, getpid, test_kill_process, waitpid};

use crate::kernel::fork::{fork, leave, taken_from, wait_for_no_child};
use crate::kernel::mapping::{Mapping, Span};
use crate::kernel::memfd;
use crate::kernel::udmabuf;
use crate::kernel::uring::Ring;
use crate::kernel::uring_queue::Queues;

/// How long a process may take to be gone after it ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// The memory that all of them pin.
#[derive(Debug)]
pub(crate) struct Shared {
    mapping: Mapping,
    file: File,
}

impl Shared {
    pub(crate) fn make(bytes: usize) -> Result<Self> {
        let file = memfd::make(c"workload", bytes)?;
        let mapping = Mapping::shared(&file, bytes)?;
        mapping.dirty(mapping.span(), 1);
        Ok(Self { mapping, file })
    }

    pub(crate) fn pages(&self) -> Span {
        self.mapping.span()
    }
}

/// The end of who tells.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) pid: Pid,
    socket: BufReader<UnixStream>,
    /// Whether it is this process's child, to be waited for.
    is_child: bool,
}

impl Owner {
    /// Starts one that pins this memory. The caller must be the only thread of its process; `others`
    /// are not the new one's to hold.
    pub(crate) fn start<T>(memory: &Shared, others: &mut Vec<T>) -> Result<Self> {
        let (near, far) = UnixStream::pair()?;
        let Some(pid) = fork()? else {
            others.clear();
            drop(near);
            serve(far, memory);
        };
        Ok(Self {
            pid,
            socket: BufReader::new(near),
            is_child: true,
        })
    }

    pub(crate) fn pin(&mut self) -> Result<()> {
        self.ask("pin").map(drop)
    }

    pub(crate) fn pin_and_clone(&mut self) -> Result<()> {
        self.ask("pin-and-clone").map(drop)
    }

    pub(crate) fn pin_by_dma_buf(&mut self) -> Result<()> {
        self.ask("pin-by-dma-buf").map(drop)
    }

    pub(crate) fn pin_another(&mut self) -> Result<()> {
        self.ask("pin-another").map(drop)
    }

    pub(crate) fn empty(&mut self) -> Result<()> {
        self.ask("empty").map(drop)
    }

    pub(crate) fn release(&mut self) -> Result<()> {
        self.ask("release").map(drop)
    }

    pub(crate) fn release_in_flight(&mut self) -> Result<()> {
        self.ask("release-in-flight").map(drop)
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.ask("close").map(drop)
    }

    /// The descriptor of the ring that it came to last.
    pub(crate) fn last_ring(&mut self) -> Result<i32> {
        self.ask("last")
    }

    /// Lets it have a ring of another's, too.
    pub(crate) fn take(&mut self, from: Pid, descriptor: i32) -> Result<()> {
        self.ask(&format!("take {from} {descriptor}")).map(drop)
    }

    /// Makes it have a child.
    pub(crate) fn fork(&mut self) -> Result<Self> {
        let (near, far) = UnixStream::pair()?;
        let pid = self.ask(&format!("fork {} {}", getpid(), far.as_raw_fd()))?;
        Ok(Self {
            pid: Pid::from_raw(pid).context("a child without a process id")?,
            socket: BufReader::new(near),
            is_child: false,
        })
    }

    /// Ends it; it is gone when this returns.
    pub(crate) fn end(self) -> Result<()> {
        let pid = self.pid;
        drop(self.socket);
        if self.is_child {
            waitpid(Some(pid), WaitOptions::empty())?;
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        while test_kill_process(pid).is_ok() {
            ensure!(Instant::now() < deadline, "process {pid} does not end");
            std::thread::yield_now();
        }
        Ok(())
    }

    fn ask(&mut self, what: &str) -> Result<i32> {
        writeln!(self.socket.get_mut(), "{what}")?;
        let mut answer = String::new();
        self.socket.read_line(&mut answer)?;
        match answer.trim_end().split_once(' ') {
            Some(("done", number)) => Ok(number.parse()?),
            _ => bail!("process {} was told to {what}: {answer}", self.pid),
        }
    }
}

/// The process itself: does what it is told until nobody can tell it any more.
fn serve(socket: UnixStream, memory: &Shared) -> ! {
    wait_for_no_child();
    let mut told = BufReader::new(socket);
    let mut rings = Vec::new();
    let mut line = String::new();
    while told.read_line(&mut line).is_ok_and(|length| length > 0) {
        let answer = match obey(line.trim_end(), memory, &mut rings) {
            Ok(Done::Said(number)) => format!("done {number}\n"),
            Ok(Done::Born(socket)) => {
                told = BufReader::new(socket);
                line.clear();
                continue;
            }
            Err(error) => format!("{error:#}\n"),
        };
        if told.get_mut().write_all(answer.as_bytes()).is_err() {
            break;
        }
        line.clear();
    }
    leave()
}

enum Done {
    /// It is done, and this is the answer.
    Said(i32),
    /// This process is a child that has just been made, and is told by another socket.
    Born(UnixStream),
}

fn obey(order: &str, memory: &Shared, rings: &mut Vec<Ring>) -> Result<Done> {
    let pages = memory.pages();
    let words: Vec<_> = order.split(' ').collect();
    match words[..] {
        ["pin"] => {
            let ring = Ring::new()?;
            ring.register(pages)?;
            rings.push(ring);
        }
        ["pin-and-clone"] => {
            let pinned = Ring::new()?;
            pinned.register_first_of_two(pages)?;
            let ring = Ring::new()?;
            ring.take_over(&pinned)?;
            rings.push(ring);
        }
        // A ring, as far as it is closed and passed on.
        ["pin-by-dma-buf"] => rings.push(Ring::from(udmabuf::pin(&memory.file, pages.length)?)),
        ["pin-another"] => last(rings)?.fill_place(1, pages)?,
        ["empty"] => last(rings)?.empty_place()?,
        ["release"] => while !rings.pop().context("no ring")?.release()? {},
        ["release-in-flight"] => Queues::of(first(rings)?)?.release_in_flight(pages)?,
        ["close"] => drop(rings.pop().context("no ring")?),
        ["last"] => return Ok(Done::Said(last(rings)?.number())),
        ["take", process, number] => {
            let process = Pid::from_raw(process.parse()?).context("no process")?;
            rings.push(Ring::from(taken_from(process, number.parse()?)?));
        }
        ["fork", process, number] => {
            let process = Pid::from_raw(process.parse()?).context("no process")?;
            let socket = UnixStream::from(taken_from(process, number.parse()?)?);
            return Ok(match fork()? {
                Some(child) => Done::Said(child.as_raw_nonzero().get()),
                None => Done::Born(socket),
            });
        }
        _ => bail!("{order} is no order"),
    }
    Ok(Done::Said(0))
}

/// The ring that it came to last.
fn last(rings: &[Ring]) -> Result<&Ring> {
    rings.last().context("no ring")
}

/// The ring that it came to first, taken.
fn first(rings: &mut Vec<Ring>) -> Result<Ring> {
    ensure!(!rings.is_empty(), "no ring");
    Ok(rings.remove(0))
}
