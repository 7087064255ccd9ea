//! A company of processes that pin the same pages and release them in a set order, and the book that
//! they keep of whose pins there are. It says nothing about what the agent saw.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::bench::Bench;
use crate::moment;
use crate::workload::command;

/// One of them, by its own book; also one that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: char,
    pub(crate) pid: u32,
    pub(crate) lives: bool,
    pub(crate) pages: i64,
}

#[derive(Debug, Deserialize)]
struct Told {
    owners: Vec<Member>,
}

/// A `workload owners` that is told each step.
#[derive(Debug)]
pub(crate) struct Company {
    child: Child,
    /// Its steps end with this.
    orders: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    pub(crate) members: Vec<Member>,
}

impl Company {
    /// Starts one whose buffers have so many pages.
    pub(crate) fn start(bench: &Bench, pages: usize) -> Result<Self> {
        let mut child = command(bench, &["owners", "--pages", &pages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the workload cannot be started")?;
        let orders = child.stdin.take();
        let told = child.stdout.take().context("the workload has no output")?;
        Ok(Self {
            child,
            orders,
            told: BufReader::new(told),
            members: Vec::new(),
        })
    }

    /// Comes back when the step is done, and the kernel has done what it leads to.
    pub(crate) fn step(&mut self, step: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("it takes no more steps")?;
        writeln!(orders, "{step}")?;
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        moment::has_passed();
        let told: Told =
            serde_json::from_str(&line).with_context(|| format!("step {step}: {line}"))?;
        self.members = told.owners;
        Ok(())
    }

    /// What all of them have pinned.
    pub(crate) fn pages(&self) -> i64 {
        self.members.iter().map(|it| it.pages).sum()
    }

    /// Ends them all.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.orders.take());
        let status = self.child.wait()?;
        moment::has_passed();
        ensure!(status.success(), "the workload ended with {status}");
        Ok(())
    }
}

impl Drop for Company {
    /// A test that failed in the middle: without orders it ends by itself.
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended_already = self.child.wait();
    }
}
