//! Where a frame is: node, zone, memory block, CMA area.

use std::{collections::HashMap, fs, ops::Range, path::Path};

use super::zones::{self, Zone};
use crate::{error::AgentError, kernel::sys::page_bytes};

const BLOCKS: &str = "/sys/devices/system/memory";
const NODES: &str = "/sys/devices/system/node";
const CMA: &str = "/sys/kernel/debug/cma";

/// What memory there is, and where.
#[derive(Debug)]
pub(crate) struct Places {
    zones: Vec<Zone>,
    /// Pages of a memory block; `None` where the kernel has none.
    block_pages: Option<u64>,
    /// The node that a block is on.
    nodes: HashMap<u64, u32>,
    /// Areas by name; `None` where they are not shown.
    cma: Option<Vec<(String, Range<u64>)>>,
}

impl Places {
    pub(crate) fn read() -> Result<Self, AgentError> {
        Ok(Self {
            zones: zones::read()?,
            block_pages: block_bytes().map(|it| pages_of_block(it, page_bytes())),
            nodes: block_nodes(),
            cma: cma_areas(),
        })
    }

    /// Whether memory blocks are known here.
    pub(crate) fn has_blocks(&self) -> bool {
        self.block_pages.is_some()
    }

    /// Whether it is known which CMA areas there are.
    pub(crate) fn has_cma(&self) -> bool {
        self.cma.is_some()
    }

    /// Frames of all memory that lies in a range, if one is given.
    pub(crate) fn spans(&self, range: Option<&Range<u64>>) -> Vec<Range<u64>> {
        let spans = zones::merged(&self.zones);
        match range {
            Some(range) => zones::within(&spans, range),
            None => spans,
        }
    }

    /// The frames of a memory block.
    pub(crate) fn block(&self, number: u64) -> Option<Range<u64>> {
        let pages = self.block_pages?;
        let there = Path::new(BLOCKS).join(format!("memory{number}")).exists();
        there.then(|| number * pages..(number + 1) * pages)
    }

    /// The block of a frame.
    pub(super) fn block_of(&self, pfn: u64) -> Option<u64> {
        Some(pfn / self.block_pages?)
    }

    /// Node and zone of a frame. Where spans of nodes lie within one another, the block says.
    pub(super) fn zone_of(&self, pfn: u64) -> Option<(u32, &str)> {
        let node = self.block_of(pfn).and_then(|it| self.nodes.get(&it));
        let spans = || self.zones.iter().filter(|it| it.span.contains(&pfn));
        let zone = spans().find(|it| node.is_none_or(|node| *node == it.node));
        let zone = zone.or_else(|| spans().next())?;
        Some((zone.node, &zone.name))
    }

    /// The CMA area of a frame.
    pub(super) fn cma_of(&self, pfn: u64) -> Option<&str> {
        let areas = self.cma.as_ref()?;
        let area = areas.iter().find(|(_, it)| it.contains(&pfn))?;
        Some(&area.0)
    }
}

fn pages_of_block(bytes: u64, page_bytes: u64) -> u64 {
    (bytes / page_bytes).max(1)
}

fn block_bytes() -> Option<u64> {
    let text = fs::read_to_string(format!("{BLOCKS}/block_size_bytes")).ok()?;
    u64::from_str_radix(text.trim(), 16).ok()
}

/// Numbers of the entries of a folder that are `PREFIXnumber`.
fn numbered(folder: &Path, prefix: &str) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: String| name.strip_prefix(prefix)?.parse().ok();
    entries
        .filter_map(|it| number(it.file_name().into_string().ok()?))
        .collect()
}

fn block_nodes() -> HashMap<u64, u32> {
    let nodes = numbered(Path::new(NODES), "node").into_iter();
    nodes
        .flat_map(|node| {
            let folder = format!("{NODES}/node{node}");
            let blocks = numbered(Path::new(&folder), "memory").into_iter();
            blocks.map(move |block| (block, node as u32))
        })
        .collect()
}

/// Of debugfs, the only place that says where they are.
fn cma_areas() -> Option<Vec<(String, Range<u64>)>> {
    let number = |folder: &Path, name: &str| -> Option<u64> {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let areas = fs::read_dir(CMA).ok()?.flatten().filter_map(|it| {
        let folder = it.path();
        let (base, count) = (number(&folder, "base_pfn")?, number(&folder, "count")?);
        Some((
            it.file_name().to_string_lossy().into_owned(),
            base..base + count,
        ))
    });
    Some(areas.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_frames_of_its_bytes_whatever_a_page_is() {
        for (page_bytes, frames) in [(4 << 10, 32_768), (16 << 10, 8192), (64 << 10, 2048)] {
            assert_eq!(pages_of_block(128 << 20, page_bytes), frames);
        }
    }
}
