//! Three books that must agree to the page: the agent's ledger, the kernel's counters, and
//! what the workload counted itself.

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload::{self, Counts, PinCounters, Stepped};

/// No workload here pins or releases more with one call.
const PAGES_A_RUN: i64 = 1024;

/// What all three books said before anything was done.
struct Start {
    kernel: PinCounters,
    agent: Metrics,
}

impl Start {
    /// The two are read one after the other: nothing else on the machine pins.
    fn now(bench: &Bench, agent: &Agent) -> Result<Self> {
        let kernel = workload::kernel_counters(bench)?;
        Ok(Self {
            kernel,
            agent: agent.scrape()?,
        })
    }

    /// The agent's book alone, without starting anything that would be in it.
    fn now_without_programs(agent: &Agent) -> Result<Self> {
        Ok(Self {
            kernel: PinCounters::default(),
            agent: agent.scrape()?,
        })
    }

    fn grown(&self, now: &Metrics, name: &str) -> Result<i64> {
        Ok(now.sum(name)? - self.agent.sum(name)?)
    }

    /// Runs of the probes that the kernel skipped and counted.
    fn missed(&self, now: &Metrics) -> i64 {
        let count = |it: &Metrics| it.sum_with("pinscope_lost_total", &[("cause", "hook_missed")]);
        count(now) - count(&self.agent)
    }

    /// Releases that were counted and not booked: of pages whose pin was among the skipped.
    fn unbooked(&self, now: &Metrics) -> i64 {
        let count =
            |it: &Metrics| it.sum_with("pinscope_lost_total", &[("cause", "unknown_release")]);
        count(now) - count(&self.agent)
    }

    /// Outstanding pages and both totals, to the page, at a moment when nothing moves. Where
    /// the kernel skipped probes (a preemptible one does on busy CPUs) the agent may lack what
    /// those runs would have booked, and no more; and it has to know by how much it is off.
    fn check_all(&self, bench: &Bench, agent: &Agent, own: Counts, when: &str) -> Result<()> {
        let kernel = workload::kernel_counters(bench)?.since(self.kernel);
        let now = agent.scrape()?;
        let pinned = self.grown(&now, "pinscope_pages_pinned_total")?;
        let unpinned = self.grown(&now, "pinscope_pages_unpinned_total")?;
        let outstanding = self.grown(&now, "pinscope_pinned_pages")?;
        let unreconciled = self.grown(&now, "pinscope_unreconciled_pages")?;
        let lacking = 0..=self.missed(&now) * PAGES_A_RUN;
        let agree = own.pages_pinned == kernel.acquired
            && own.pages_unpinned == kernel.released
            && lacking.contains(&(kernel.acquired - pinned))
            && lacking.contains(&(kernel.released - unpinned))
            && outstanding - kernel.outstanding() == unreconciled + self.unbooked(&now)
            && lacking.contains(&unreconciled.abs());
        ensure!(
            agree,
            "{when}: the books differ: own {}/{}, kernel {}/{}, agent {pinned}/{unpinned}, {outstanding} outstanding, {unreconciled} unreconciled; {}",
            own.pages_pinned,
            own.pages_unpinned,
            kernel.acquired,
            kernel.released,
            now.show("pinscope_lost_total")
        );
        Ok(())
    }
}

/// `churn` and single-threaded reads give the kernel nothing to undo, so the totals must
/// agree and not only the balance.
pub(super) fn at_quiet_points_ledger_and_totals_equal_the_kernels_over_400000_pages(
    bench: &Bench,
) -> Result<()> {
    // Which `process_vm_readv()` pins by.
    bench.needs_hook("pin_user_pages_remote")?;
    let agent = bench.shared_agent(&[])?;
    let start = Start::now(bench, &agent)?;
    let mut own = Counts::default();
    for arguments in [
        &["churn", "--memory", "file"][..],
        &["churn", "--memory", "anon", "--calls", "50"],
        &["churn", "--memory", "thp", "--calls", "50"],
        &["churn", "--pages", "1", "--calls", "1000"],
        &["direct-read", "--reads", "200"],
        &["hold", "--pages", "1500"],
    ] {
        let counts = workload::run(bench, arguments)?;
        own.pages_pinned += counts.pages_pinned;
        own.pages_unpinned += counts.pages_unpinned;
        start.check_all(
            bench,
            &agent,
            own,
            &format!("after {}", arguments.join(" ")),
        )?;
    }
    ensure!(
        own.pages_pinned > 400_000,
        "only {} pages were pinned",
        own.pages_pinned
    );
    Ok(())
}

/// 200,000 pins and as many releases, or what `--churn-calls` makes of it.
pub(super) fn eight_threads_over_shared_folios_leave_no_page_outstanding(
    bench: &Bench,
) -> Result<()> {
    bench.needs_hook("pin_user_pages_remote")?;
    let agent = bench.shared_agent(&[])?;
    let start = Start::now(bench, &agent)?;
    let calls = bench.churn_calls.to_string();
    let arguments = [
        "churn",
        "--threads",
        "8",
        "--pages",
        "512",
        "--calls",
        &calls,
    ];
    let own = workload::run(bench, &arguments)?;
    start.check_all(bench, &agent, own, "after the churn")?;
    let now = agent.scrape()?;
    let missed = start.missed(&now) > 0;
    for gauge in ["pinscope_pinned_pages", "pinscope_pinned_folios"] {
        let grown = start.grown(&now, gauge)?;
        ensure!(
            grown == 0 || missed && grown > 0,
            "{gauge} grew by {grown} over {} pins",
            own.pages_pinned
        );
    }
    Ok(())
}

pub(super) fn long_pins_are_outstanding_until_they_are_released(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let start = Start::now(bench, &agent)?;
    let mut done = Counts::default();
    for arguments in [
        &["uring-fixed", "--pages", "512"][..],
        &["uring-fixed", "--pages", "300", "--release", "close"],
        &["xdp-umem", "--pages", "256"],
    ] {
        let mut workload = Stepped::start(bench, arguments)?;
        let held = workload.reach("held")?;
        let mut own = done;
        own.pages_pinned += held.pages_pinned;
        let when = format!("{} while held", arguments.join(" "));
        start.check_all(bench, &agent, own, &when)?;
        let released = workload.go_on_to("released")?;
        done.pages_pinned += released.pages_pinned;
        done.pages_unpinned += released.pages_unpinned;
        let when = format!("{} after the release", arguments.join(" "));
        start.check_all(bench, &agent, done, &when)?;
        workload.finish()?;
    }
    Ok(())
}

/// Here the kernel takes pins back by itself (a fast pin that lost a race), which both of
/// its counters count and no caller ever sees: the balance must agree, the totals need not.
/// Workers and interrupts complete the reads, on top of each other: a release for which the
/// kernel skipped the probe stays in the book, and is counted as missed.
pub(super) fn a_race_of_unmapping_syncs_and_reads_leaves_no_page_outstanding(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let start = Start::now(bench, &agent)?;
    let counts = workload::run(bench, &["zap-race"])?;
    ensure!(counts.zaps > 0, "nothing was unmapped: {counts:?}");
    // A read whose pages were cleaned meanwhile is completed by a worker.
    agent.scrape_until("an empty ledger", |now| {
        let kernel = workload::kernel_counters(bench)?.since(start.kernel);
        let outstanding = start.grown(now, "pinscope_pinned_pages")?;
        let unreconciled = start.grown(now, "pinscope_unreconciled_pages")?;
        let pinned = start.grown(now, "pinscope_pages_pinned_total")?;
        ensure!(
            pinned <= kernel.acquired,
            "the agent counted {pinned} pins, the kernel {}",
            kernel.acquired
        );
        let lacking = 0..=start.missed(now) * PAGES_A_RUN;
        let settled = kernel.outstanding() == 0
            && outstanding == unreconciled + start.unbooked(now)
            && lacking.contains(&outstanding.abs())
            && lacking.contains(&(counts.pages_pinned - pinned));
        Ok(if settled {
            Look::Done(())
        } else {
            Look::NotYet(format!(
                "kernel {} outstanding, ledger {outstanding}, {unreconciled} unreconciled; {pinned} pins counted, {} made; {}",
                kernel.outstanding(),
                counts.pages_pinned,
                now.show("pinscope_lost_total")
            ))
        })
    })?;
    Ok(())
}

/// Counted from `ready` on, because the start of a program takes references, too: the
/// kernel writes its arguments through `get_user_pages_remote()`.
pub(super) fn references_are_counted_apart_from_pins(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["vmsplice", "--pages", "64"])?;
    workload.reach("ready")?;
    let start = Start::now_without_programs(&agent)?;
    let held = workload.go_on_to("held")?;
    let now = agent.scrape()?;
    let referenced = start.grown(&now, "pinscope_pages_referenced_total")?;
    let pinned = start.grown(&now, "pinscope_pages_pinned_total")?;
    ensure!(
        referenced == held.pages_referenced && pinned == 0,
        "{} pages are referenced and none pinned; the agent counted {referenced} and {pinned}",
        held.pages_referenced
    );
    workload.go_on_to("synced")?;
    workload.go_on_to("released")?;
    workload.finish()?;
    Ok(())
}

/// Pins from 6.3 on, references that a hook sees given back before.
pub(super) fn direct_reads_are_booked_as_the_kernel_took_them(bench: &Bench) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let mut workload = Stepped::start(bench, &["direct-read", "--reads", "50"])?;
    workload.reach("ready")?;
    let start = Start::now_without_programs(&agent)?;
    let own = workload.go_on_to("read")?;
    let now = agent.scrape()?;
    // An interrupt on top of a probe that releases is skipped, and counted.
    let lacking = 0..=start.missed(&now) * PAGES_A_RUN;
    for (name, expected) in [
        ("pinscope_pages_pinned_total", own.pages_pinned),
        ("pinscope_pages_unpinned_total", own.pages_unpinned),
        ("pinscope_pages_referenced_total", own.pages_referenced),
        ("pinscope_pages_unreferenced_total", own.pages_unreferenced),
    ] {
        let grown = start.grown(&now, name)?;
        ensure!(
            lacking.contains(&(expected - grown)),
            "{name} grew by {grown}, the reads make it {expected}: {own:?}"
        );
    }
    workload.finish()?;
    Ok(())
}
