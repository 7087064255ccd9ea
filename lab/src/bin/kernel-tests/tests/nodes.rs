//! A machine of several nodes: what is pinned on each of them. The kernel counts pins by node, too.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;
use crate::census::Census;
use crate::holders::{check_sums, until_pinned};
use crate::workload::Stepped;
use lab::absent::absent;

/// Nodes, and pages that are pinned on each.
const PINNED: [(&str, u64); 2] = [("0", 512), ("1", 1024)];

pub(super) fn what_is_pinned_is_told_by_node_as_the_kernel_counts_it(bench: &Bench) -> Result<()> {
    if fs::read_to_string("/sys/devices/system/node/has_memory")?.trim() != "0-1" {
        return Err(absent("this machine has not two nodes"));
    }
    let _agent = bench.shared_agent(&[])?;
    let mut workloads = Vec::new();
    for (node, pages) in PINNED {
        let pages = pages.to_string();
        let arguments = ["--node", node, "uring-fixed", "--pages", &pages];
        let mut workload = Stepped::start(bench, &arguments)?;
        workload.reach("held")?;
        workloads.push(workload);
    }
    let all = PINNED.iter().map(|(_, pages)| pages).sum::<u64>();
    check_sums(bench, all.cast_signed(), "on two nodes")?;
    let by_node = Census::take(bench, &["--by", "node"])?;
    by_node.check(bench.witnessed()?)?;
    let by_zone = Census::take(bench, &["--by", "zone"])?;
    for (node, pages) in PINNED {
        let row = by_node.named(&format!("node {node}"));
        let row = row.with_context(|| format!("no node {node}: {by_node:?}"))?;
        ensure!(
            row.pins == pages && row.kernel_pins == Some(pages.cast_signed()),
            "{pages} are pinned on node {node}: {row:?}"
        );
        let of_node = |it: &&crate::census::Row| it.name.starts_with(&format!("node {node}"));
        let zones = by_zone.rows.iter().filter(of_node).map(|it| it.pins);
        ensure!(zones.sum::<u64>() == pages, "{by_zone:?}");
    }
    for workload in &mut workloads {
        workload.reach("released")?;
    }
    workloads.into_iter().try_for_each(Stepped::finish)?;
    until_pinned(bench, 0)
}
