//! Up to three processes that pin the same pages as fixed buffers of io_urings, step by step: pinned
//! again, released in any order, rings closed, passed on and inherited. It keeps a book of whose pins there are.

mod book;
mod process;
mod step;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::counts::Counts;
use crate::kernel::word::{self, Word};
use crate::session::{Pace, SLICE, Session};
use book::{Book, Effect};
use lab::page::page_bytes;
use lab::pin_counters::PinCounters;
use process::{Owner, Shared};
use step::{Act, Step};

/// What they do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Pages that each buffer has, the same for all of them.
    #[arg(long, default_value_t = 16)]
    pages: usize,
    /// Steps, such as `A+` (A pins), `B-` (B releases what it came to last), `A~` (A releases what it came to first,
    /// and a request of its own keeps it until it ends), `A=` (A pins, and a ring with two places takes that over), `A%` (A pins by a dma-buf), `A^` (A
    /// pins with the second place of its last ring), `A0` (A empties the first place of that), `Ax` (A closes a ring), `A>B` (A hands a ring to B), `A&` (A
    /// forks `a`), `A!` (A ends). Without any they come on standard input, a line each.
    steps: Vec<Step>,
}

/// What is said after each step.
#[derive(Serialize)]
struct Told<'a> {
    phase: &'a str,
    counts: &'a Counts,
    owners: Vec<Row>,
}

/// One process, also one that has ended.
#[derive(Serialize)]
struct Row {
    name: char,
    pid: i32,
    lives: bool,
    /// Pages that it has pinned and nobody has released.
    pages: u64,
}

/// A line of JSON after each step, then the phase `released`. All are ended by then.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    ensure!(args.pages > 0, "--pages must be above 0");
    ensure!(
        !(args.steps.is_empty() && session.pace == Pace::Told),
        "with --step the steps must be on the command line: standard input says when to go on"
    );
    let mut company = Company {
        memory: Shared::make(args.pages * page_bytes())?,
        book: Book::default(),
        owners: Vec::new(),
        pids: Vec::new(),
        counts: Counts::default(),
    };
    if args.steps.is_empty() {
        while let Some(line) = next_line(session)? {
            company.step(line.trim().parse()?)?;
            session.tell(&company.told(line.trim()))?;
        }
    }
    for step in &args.steps {
        if session.over() {
            break;
        }
        company.step(*step)?;
        session.stay_after(&company.told(&step.to_string()))?;
    }
    company.end()?;
    session.pass("released", &company.counts)?;
    Ok(company.counts)
}

/// The next line of standard input; nothing at its end or when the run is over.
fn next_line(session: &Session) -> Result<Option<String>> {
    while !session.over() {
        match word::within(SLICE)? {
            Some(Word::Line(line)) => return Ok(Some(line)),
            Some(Word::End) => break,
            None => {}
        }
    }
    Ok(None)
}

/// All processes, and what they did.
struct Company {
    memory: Shared,
    book: Book,
    /// By their number in the book; nothing for one that has ended.
    owners: Vec<Option<Owner>>,
    pids: Vec<i32>,
    counts: Counts,
}

impl Company {
    /// Makes the step done, and waits until the kernel has done what it leads to.
    fn step(&mut self, step: Step) -> Result<()> {
        self.begin(step.owner)?;
        if let Act::Pass(to) = step.act {
            self.begin(to)?;
        }
        let who = self.number(step.owner)?;
        let effect = self.book.book(step)?;
        let before = PinCounters::read()?;
        match step.act {
            Act::Pin => self.owner(who)?.pin()?,
            Act::PinAndClone => self.owner(who)?.pin_and_clone()?,
            Act::PinByDmaBuf => self.owner(who)?.pin_by_dma_buf()?,
            Act::PinAnother => self.owner(who)?.pin_another()?,
            Act::Empty => self.owner(who)?.empty()?,
            Act::Release => self.owner(who)?.release()?,
            Act::ReleaseInFlight => self.owner(who)?.release_in_flight()?,
            Act::Close => self.owner(who)?.close()?,
            Act::Pass(to) => {
                let from = self.owner(who)?;
                let (pid, ring) = (from.pid, from.last_ring()?);
                let to = self.number(to)?;
                self.owner(to)?.take(pid, ring)?;
                self.owner(who)?.close()?;
            }
            Act::Fork => {
                let child = self.owner(who)?.fork()?;
                self.add(child);
            }
            Act::End => self.owners[who].take().context("it has ended")?.end()?,
        }
        let pages = self.memory.pages().pages() as u64;
        match effect {
            Effect::Pins => {
                // Others may pin and release a page meanwhile.
                let grown = PinCounters::read()? - before;
                ensure!(
                    grown.acquired >= pages,
                    "{pages} pages were to be pinned; the kernel counted {grown:?}"
                );
                self.counts.calls += 1;
                self.counts.pages_pinned += pages;
            }
            Effect::Releases(buffers) => {
                before.wait_for_release(buffers * pages)?;
                self.counts.pages_released += buffers * pages;
            }
        }
        Ok(())
    }

    /// Starts an owner that does not live. A child is only ever forked.
    fn begin(&mut self, name: char) -> Result<()> {
        if self.book.who(name).is_some() || name.is_ascii_lowercase() {
            return Ok(());
        }
        self.book.begin(name, None)?;
        let owner = Owner::start(&self.memory, &mut self.owners)?;
        self.add(owner);
        Ok(())
    }

    fn add(&mut self, owner: Owner) {
        self.pids.push(owner.pid.as_raw_nonzero().get());
        self.owners.push(Some(owner));
    }

    fn number(&self, name: char) -> Result<usize> {
        let who = self.book.who(name);
        who.with_context(|| format!("there is no living {name}"))
    }

    fn owner(&mut self, number: usize) -> Result<&mut Owner> {
        self.owners[number].as_mut().context("it has ended")
    }

    /// Ends them all.
    fn end(&mut self) -> Result<()> {
        let before = PinCounters::read()?;
        for owner in self.owners.iter_mut().filter_map(Option::take) {
            owner.end()?;
        }
        let left = self.counts.pages_pinned - self.counts.pages_released;
        before.wait_for_release(left)?;
        self.counts.pages_released += left;
        Ok(())
    }

    fn told<'a>(&'a self, phase: &'a str) -> Told<'a> {
        let rows = self.book.processes.iter().zip(&self.pids).enumerate();
        Told {
            phase,
            counts: &self.counts,
            owners: rows
                .map(|(number, (process, pid))| Row {
                    name: process.name,
                    pid: *pid,
                    lives: process.lives,
                    pages: self.book.pinned_by(number) * self.memory.pages().pages() as u64,
                })
                .collect(),
        }
    }
}
