//! What `pinscope census` says is pinned, read as any script would read it. It judges nothing.

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::agent::answer;
use crate::bench::Bench;
use lab::page::huge_page_bytes;
use lab::witness::Count;

/// A census.
#[derive(Debug, Deserialize)]
pub(crate) struct Census {
    pub(crate) folios: u64,
    pub(crate) pins: u64,
    pub(crate) bytes: u64,
    pub(crate) unmapped_bytes: u64,
    pub(crate) mapping_unknown_bytes: u64,
    pub(crate) spoiled_bytes: u64,
    pub(crate) unsettled_folios: u64,
    pub(crate) untold_folios: u64,
    pub(crate) difference: Option<i64>,
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A line of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) processes: Vec<Task>,
    pub(crate) folios: u64,
    pub(crate) pins: u64,
    pub(crate) bytes: u64,
    pub(crate) unmapped_bytes: u64,
    pub(crate) spoiled_bytes: u64,
    pub(crate) kernel_pins: Option<i64>,
}

/// A process that maps what is pinned.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    pub(crate) likely: Option<Vec<String>>,
}

impl Census {
    /// Takes one.
    pub(crate) fn take(bench: &Bench, arguments: &[&str]) -> Result<Self> {
        let arguments = [&["census", "--format", "json", "--top", "9999"], arguments].concat();
        answer(bench, &arguments)
    }

    /// Demands what the witness found, and that the kernel counts as much.
    pub(crate) fn check(&self, witnessed: Count) -> Result<()> {
        let found = [self.pins, self.folios, self.bytes, self.spoiled_bytes];
        let spoiled_bytes = witnessed.spoiled_blocks * huge_page_bytes() as u64;
        ensure!(
            found
                == [
                    witnessed.pins,
                    witnessed.folios,
                    witnessed.bytes,
                    spoiled_bytes
                ]
                && self.difference == Some(0)
                && self.unsettled_folios == 0
                && self.untold_folios == 0,
            "the witness found {witnessed:?}, the census {self:?}"
        );
        let rows = self.rows.iter().map(|it| it.bytes).sum::<u64>();
        ensure!(rows == self.bytes, "the rows add up to {rows}: {self:?}");
        Ok(())
    }

    /// The row of memory that this process maps, alone.
    pub(crate) fn of_pid(&self, pid: u32) -> Option<&Row> {
        let alone = |it: &&Row| it.processes.len() == 1 && it.processes[0].pid == pid;
        self.rows.iter().find(alone)
    }

    /// The row of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|it| it.name == name)
    }
}
