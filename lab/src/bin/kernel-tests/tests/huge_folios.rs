//! Pins on huge pages: one entry for a folio, however many of its pages are pinned.

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::holders::{ask, until_pinned};
use crate::workload::Stepped;

/// Pages of 4 KiB, and folios of 2 MiB, that are pinned.
const PAGES: i64 = 1 << 16;
const FOLIOS: i64 = PAGES / 512;

pub(super) fn fixed_buffers_on_huge_pages_take_one_entry_a_folio(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let pages = PAGES.to_string();
    let mut workload = Stepped::start(
        bench,
        &["uring-fixed", "--memory", "hugetlb", "--pages", &pages],
    )?;
    workload.reach("held")?;
    let now = agent.scrape()?;
    for gauge in ["pinscope_ledger_slots_used", "pinscope_pinned_folios"] {
        let grown = now.sum(gauge)? - before.sum(gauge)?;
        ensure!(
            grown == FOLIOS,
            "{FOLIOS} folios are pinned, {gauge} grew by {grown}"
        );
    }
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(workload.pid());
    ensure!(
        rows.len() == 1 && rows[0].folios == FOLIOS && report.pinned_pages == report.vmstat_pages,
        "{FOLIOS} folios are pinned: {report:?}"
    );
    workload.go_on_to("released")?;
    until_pinned(bench, before.sum("pinscope_pinned_pages")?)?;
    let left = agent.scrape()?.sum("pinscope_pinned_folios")?;
    ensure!(
        left == before.sum("pinscope_pinned_folios")?,
        "{left} folios in the ledger at the end"
    );
    workload.finish()
}
