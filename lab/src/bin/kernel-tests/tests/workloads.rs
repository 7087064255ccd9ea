//! Every workload under one agent, a row for each: at every quiet point the books agree to the
//! page, the parts add up to the whole, and what is held is told under the right name.

use anyhow::{Result, ensure};

use super::Test;
use crate::agent::Agent;
use crate::bench::Bench;
use crate::books::{Books, Seen, Undoes};
use crate::holders::{ask, by_subsystem, check_sums};
use crate::metrics::Metrics;
use crate::moment;
use crate::wait::Look;
use crate::workload::{Counts, Step, Stepped};

/// A workload and what is to be seen of it.
struct Row {
    /// The name of its test.
    name: &'static str,
    arguments: &'static [&'static str],
    takes: Takes,
    undoes: Undoes,
    accounts: Accounts,
    /// A hook that it goes through and that not every mode has.
    hook: Option<&'static str>,
}

/// What a workload makes the kernel take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Pins (`FOLL_PIN`) for this subsystem.
    Pins(&'static str),
    /// References (`FOLL_GET`), of which no hook sees that they are given back.
    References,
    /// Pins from Linux 6.3 on, and before references that a hook sees given back.
    AsDirectIo,
}

/// What the process's own account of pinned memory (`VmPin`) says of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accounts {
    /// All of it.
    VmPin,
    /// All, a part or nothing of it, as the kernel has it.
    ByKernel,
}

const fn pins(
    name: &'static str,
    subsystem: &'static str,
    arguments: &'static [&'static str],
) -> Row {
    Row {
        name,
        arguments,
        takes: Takes::Pins(subsystem),
        undoes: Undoes::Nothing,
        accounts: Accounts::ByKernel,
        hook: None,
    }
}

/// `process_vm_readv()` and its like.
const fn across(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        hook: Some("pin_user_pages_remote"),
        ..pins(name, "process_vm", arguments)
    }
}

const fn direct(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        takes: Takes::AsDirectIo,
        ..pins(name, "direct_io", arguments)
    }
}

const fn references(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        takes: Takes::References,
        ..pins(name, "", arguments)
    }
}

const ROWS: &[Row] = &[
    direct(
        "books_agree_over_direct_reads",
        &["direct-read", "--reads", "200"],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio",
        &["direct-read", "--engine", "aio"],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio_into_transparent_huge_pages",
        &[
            "direct-read",
            "--engine",
            "aio",
            "--memory",
            "thp",
            "--pages",
            "512",
        ],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio_into_hugetlb_pages",
        &[
            "direct-read",
            "--engine",
            "aio",
            "--memory",
            "hugetlb",
            "--pages",
            "512",
        ],
    ),
    direct(
        "books_agree_over_direct_reads_by_io_uring",
        &["direct-read", "--engine", "uring", "--memory", "anon"],
    ),
    pins(
        "books_agree_over_fixed_buffers",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "512"],
    ),
    pins(
        "books_agree_over_fixed_buffers_that_a_worker_releases",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "300", "--release", "close"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_transparent_huge_pages",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "2048", "--memory", "thp"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_hugetlb_pages",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "2048", "--memory", "hugetlb"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_a_memfd",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "300", "--memory", "memfd"],
    ),
    pins(
        "books_agree_over_the_memory_of_an_af_xdp_socket",
        "af_xdp",
        &["xdp-umem", "--pages", "256"],
    ),
    pins(
        "books_agree_over_af_xdp_memory_of_hugetlb_pages",
        "af_xdp",
        &["xdp-umem", "--pages", "1024", "--memory", "hugetlb"],
    ),
    pins(
        "books_agree_over_a_dma_buf_of_a_memfd",
        "udmabuf",
        &["udmabuf", "--pages", "128"],
    ),
    pins(
        "books_agree_over_the_log_of_a_vhost_device",
        "vhost",
        &["vhost-log"],
    ),
    across(
        "books_agree_over_pins_held_across_syncs",
        &["hold", "--pages", "1500"],
    ),
    across(
        "books_agree_over_400_calls_on_a_file",
        &["churn", "--memory", "file"],
    ),
    across(
        "books_agree_over_200_calls_on_transparent_huge_pages",
        &["churn", "--memory", "thp", "--calls", "50"],
    ),
    across(
        "books_agree_over_200_calls_on_hugetlb_pages",
        &["churn", "--memory", "hugetlb", "--calls", "50"],
    ),
    across(
        "books_agree_over_4000_calls_for_a_page",
        &[
            "churn", "--memory", "anon", "--pages", "1", "--calls", "1000",
        ],
    ),
    references(
        "references_of_a_pipe_are_counted_apart_from_pins",
        &["vmsplice", "--pages", "64"],
    ),
    references(
        "references_of_datagrams_are_counted_apart_from_pins",
        &["zerocopy", "--sends", "50"],
    ),
    // The kernel takes pins back by itself here: fast pins that lost a race.
    Row {
        undoes: Undoes::Some,
        ..direct(
            "books_agree_over_a_race_of_unmapping_syncs_and_reads",
            &["zap-race"],
        )
    },
];

/// What takes a driver that kernels for clouds do not have.
const ROWS_OF_DRIVERS: &[Row] = &[
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_memory_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "1000"],
        )
    },
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_transparent_huge_pages_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "2048", "--memory", "thp"],
        )
    },
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_hugetlb_pages_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "2048", "--memory", "hugetlb"],
        )
    },
];

/// A test for each row that any kernel may have.
pub(super) fn usual() -> impl Iterator<Item = Test> {
    tests(ROWS)
}

/// And for each of the others.
pub(super) fn of_drivers() -> impl Iterator<Item = Test> {
    tests(ROWS_OF_DRIVERS)
}

fn tests(rows: &'static [Row]) -> impl Iterator<Item = Test> {
    rows.iter().map(|row| Test {
        name: row.name,
        run: Box::new(|bench| check(row, bench)),
        either_way: false,
    })
}

fn check(row: &Row, bench: &Bench) -> Result<()> {
    if let Some(hook) = row.hook {
        bench.needs_hook(hook)?;
    }
    let agent = bench.shared_agent(&[])?;
    let start = agent.scrape()?;
    let books = Books::open(bench, &agent)?;
    let mut workload = Stepped::start(bench, row.arguments)?;
    let mut before: Option<(Metrics, Counts)> = None;
    let mut held = 0;
    loop {
        let step = workload.advance()?;
        // First of all: whatever is asked below starts programs, and those take references.
        let now = agent.scrape()?;
        let (phase, own) = match &step {
            Step::Phase(phase, own) => (phase.as_str(), *own),
            Step::End(own) => ("end", *own),
        };
        let seen = books
            .check(&agent, Some(own), row.undoes)
            .and_then(|seen| check_phase(row, bench, workload.pid(), &seen).map(|()| seen))
            .map_err(|error| error.context(format!("phase {phase}")))?;
        held = held.max(seen.held.pins);
        if let Some((before, done)) = &before {
            check_references(row, &seen, (before, *done), (&now, own))?;
        }
        if let Step::End(own) = step {
            println!("     {held} held; then {seen}");
            return check_end(row, own, &start, &agent);
        }
        if !matches!(row.takes, Takes::Pins(_)) {
            // What was asked counts, too.
            moment::has_passed();
        }
        before = Some((agent.scrape()?, own));
    }
}

/// Who holds what, while something is held.
fn check_phase(row: &Row, bench: &Bench, pid: u32, seen: &Seen) -> Result<()> {
    let held = seen.held;
    check_sums(bench, held.pins, "at a quiet point")?;
    let Takes::Pins(subsystem) = row.takes else {
        return Ok(());
    };
    if held.pins == 0 {
        return Ok(());
    }
    let report = by_subsystem(bench)?;
    ensure!(
        report.pins_of("subsystem", subsystem) == held.pins,
        "{} pages are held for {subsystem}: {report:?}",
        held.pins
    );
    let report = ask(bench, "process", &[])?;
    let [row_of_pid] = report.of_pid(pid)[..] else {
        anyhow::bail!("one row for {pid}: {report:?}");
    };
    let process = &row_of_pid.about["process"];
    let accounted = process["accounts"]["vm_pin_bytes"].as_i64();
    ensure!(
        row_of_pid.figures() == [held.pins, held.folios, held.bytes]
            && row_of_pid.guessed_pins == 0
            && process["comm"] == "workload"
            && process["life"] == "alive"
            && (row.accounts == Accounts::ByKernel || accounted == Some(held.pins * 4096)),
        "{pid} has {held:?}: {report:?}"
    );
    Ok(())
}

/// References that others may take meanwhile: a thread that ends takes one for its futex.
const STRAY: i64 = 4;

/// What was referenced from one phase to the next. The start of a program takes references, too,
/// so the way to the first phase is left out.
fn check_references(
    row: &Row,
    seen: &Seen,
    before: (&Metrics, Counts),
    now: (&Metrics, Counts),
) -> Result<()> {
    let grown = |name| Ok::<_, anyhow::Error>(now.0.sum(name)? - before.0.sum(name)?);
    let taken = now.1.pages_referenced - before.1.pages_referenced;
    let given_back = now.1.pages_unreferenced - before.1.pages_unreferenced;
    // Linux 5.10 inlines the function that gives back what direct I/O took, where it matters: by
    // fentry nothing sees it, the self-test finds that, and the total is withheld.
    let failed = [("hook", "bio_release"), ("outcome", "failed")];
    let withheld = now.0.sum_with("pinscope_hook_selftest", &failed) > 0;
    let seen_given_back = match row.takes {
        Takes::Pins(_) => return Ok(()),
        Takes::AsDirectIo => given_back,
        Takes::References => 0,
    };
    let totals = [
        ("pinscope_references_acquired_total", taken),
        ("pinscope_references_released_total", seen_given_back),
    ];
    for (name, expected) in &totals[..if withheld { 1 } else { 2 }] {
        let expected = *expected;
        let grown = grown(name)?;
        ensure!(
            (expected..=expected + STRAY).contains(&grown) || seen.allows(expected - grown),
            "{name} grew by {grown}, the workload makes it {expected}"
        );
    }
    Ok(())
}

/// That the workload did what it is for, and is known by its name also when nothing lasted.
fn check_end(row: &Row, own: Counts, start: &Metrics, agent: &Agent) -> Result<()> {
    ensure!(
        own.pages_pinned + own.pages_referenced > 0,
        "nothing was pinned: {own:?}"
    );
    let pins_for = match row.takes {
        Takes::Pins(subsystem) => Some(subsystem),
        Takes::AsDirectIo if own.pages_pinned > 0 => Some("direct_io"),
        Takes::References | Takes::AsDirectIo => None,
    };
    let Some(subsystem) = pins_for else {
        ensure!(own.pages_pinned == 0, "references, not pins: {own:?}");
        return Ok(());
    };
    let held =
        |it: &Metrics| it.sum_with("pinscope_hold_seconds_count", &[("subsystem", subsystem)]);
    // Soon after its start the agent has no names for call paths yet.
    agent.scrape_until("hold times by name", |now| {
        Ok(if held(now) > held(start) {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "{subsystem} held nothing: {}",
                now.show("pinscope_hold_seconds_count")
            ))
        })
    })
}
