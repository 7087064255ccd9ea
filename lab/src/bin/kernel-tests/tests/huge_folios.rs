//! Pins on huge pages: one entry for a folio, however many of its pages are pinned.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, available_pages};
use crate::census::Census;
use crate::holders::{ask, check_sums, until_pinned};
use crate::workload::Stepped;
use lab::{
    absent::absent,
    page::{huge_page_bytes, page_bytes},
};

pub(super) fn fixed_buffers_on_huge_pages_take_one_entry_a_folio(bench: &Bench) -> Result<()> {
    check(bench, 1 << 14)
}

pub(super) fn a_gibibyte_of_fixed_buffers_on_huge_pages_takes_512_entries(
    bench: &Bench,
) -> Result<()> {
    check(bench, (1 << 30) / page_bytes() as i64)
}

/// Newer kernels pin a folio once for a ring, older ones once a page: its memory is the same.
pub(super) fn a_huge_page_that_five_rings_have_registered_counts_once_everywhere(
    bench: &Bench,
) -> Result<()> {
    let bytes = huge_page_bytes() as i64;
    let agent = bench.shared_agent(&[])?;
    for rings in ["1", "5"] {
        let arguments = ["uring-fixed", "--memory", "thp", "--rings", rings];
        let mut workload = Stepped::start(bench, &arguments)?;
        let own = workload.reach("held")?;
        let pins = own.pages_pinned - own.pages_released;
        println!("     {rings} rings: {pins} pins");
        check_sums(bench, pins, "with a huge page")?;
        let report = ask(bench, "process", &[])?;
        let [row] = report.of_pid(workload.pid())[..] else {
            anyhow::bail!("one row for {}: {report:?}", workload.pid());
        };
        ensure!(
            row.figures() == [pins, 1, bytes],
            "one folio is pinned: {report:?}"
        );
        let now = agent.scrape()?;
        for gauge in [
            "pinscope_pinned_bytes",
            "pinscope_subsystem_pinned_bytes",
            "pinscope_cgroup_pinned_bytes",
            "pinscope_memcg_pinned_bytes",
        ] {
            ensure!(now.sum(gauge)? == bytes, "{}", now.show(gauge));
        }
        let ours = [("subsystem", "io_uring_buffers")];
        ensure!(
            now.sum_with("pinscope_subsystem_pinned_bytes", &ours) == bytes,
            "{}",
            now.show("pinscope_subsystem_pinned_bytes")
        );
        workload.reach("released")?;
        workload.finish()?;
        until_pinned(bench, 0)?;
    }
    Ok(())
}

/// Its pages share one page of their `struct page`s, so that most of these are only seen.
pub(super) fn fixed_buffers_on_huge_pages_without_their_vmemmap_take_one_entry_a_folio(
    bench: &Bench,
) -> Result<()> {
    let optimised = fs::read_to_string("/proc/sys/vm/hugetlb_optimize_vmemmap");
    if optimised.unwrap_or_default().trim() != "1" {
        return Err(absent("this kernel keeps the vmemmap of huge pages"));
    }
    check(bench, 1 << 14)
}

pub(super) fn a_huge_page_of_1_gib_is_one_folio_in_ledger_and_census(bench: &Bench) -> Result<()> {
    const BYTES: u64 = 1 << 30;
    let _agent = bench.shared_agent(&[])?;
    let pages = (BYTES / page_bytes() as u64).to_string();
    let arguments = ["uring-fixed", "--memory", "gigantic", "--pages", &pages];
    let mut workload = Stepped::start(bench, &arguments)?;
    let own = workload.reach("held")?;
    let pins = own.pages_pinned - own.pages_released;
    println!("     {pins} pins");
    check_sums(bench, pins, "with a huge page of 1 GiB")?;
    let report = ask(bench, "process", &[])?;
    let [row] = report.of_pid(workload.pid())[..] else {
        anyhow::bail!("one row for {}: {report:?}", workload.pid());
    };
    ensure!(
        row.figures() == [pins, 1, BYTES as i64],
        "one folio is pinned: {report:?}"
    );
    let census = Census::take(bench, &["--by", "kind"])?;
    census.check(bench.witnessed()?)?;
    let row = census.named("hugetlb");
    let row = row.with_context(|| format!("no hugetlb: {census:?}"))?;
    ensure!(
        row.folios == 1 && row.bytes == BYTES && row.spoiled_bytes == 0,
        "one huge page is pinned, which spoils nothing: {census:?}"
    );
    workload.reach("released")?;
    workload.finish()?;
    until_pinned(bench, 0)
}

fn check(bench: &Bench, pages: i64) -> Result<()> {
    let page = page_bytes() as i64;
    let folios = pages * page / huge_page_bytes() as i64;
    if available_pages()? < pages * 5 / 4 {
        return Err(absent(format!(
            "less than {} MiB of memory are available",
            (pages * 5 / 4 * page) >> 20
        )));
    }
    let agent = bench.shared_agent(&[])?;
    let before = agent.scrape()?;
    let pages = pages.to_string();
    let mut workload = Stepped::start(
        bench,
        &["uring-fixed", "--memory", "hugetlb", "--pages", &pages],
    )?;
    workload.reach("held")?;
    let now = agent.scrape()?;
    let slots =
        now.sum("pinscope_ledger_slots_used")? - before.sum("pinscope_ledger_slots_used")?;
    println!("     {pages} pages held in {slots} entries");
    let pinned = now.sum("pinscope_pinned_folios")? - before.sum("pinscope_pinned_folios")?;
    // Fewer where an entry was taken that only remembered another folio.
    ensure!(
        pinned == folios && slots <= folios,
        "{folios} folios are pinned, the ledger has {pinned} in {slots} entries"
    );
    let report = ask(bench, "process", &[])?;
    let rows = report.of_pid(workload.pid());
    ensure!(
        rows.len() == 1
            && rows[0].folios.value == folios
            && rows[0].bytes.value == folios * huge_page_bytes() as i64
            && report.pins == report.kernel_pins,
        "{folios} folios are pinned: {report:?}"
    );
    workload.reach("released")?;
    until_pinned(bench, before.sum("pinscope_pins")?)?;
    let left = agent.scrape()?.sum("pinscope_pinned_folios")?;
    ensure!(
        left == before.sum("pinscope_pinned_folios")?,
        "{left} folios in the ledger at the end"
    );
    workload.finish()
}
