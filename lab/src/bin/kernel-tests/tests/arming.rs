//! The hooks that serve verdicts alone: there while there is something to judge, and not otherwise,
//! by the kernel's own lists of what is traced.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::agent::Agent;
use crate::bench::Bench;
use crate::metrics::Metrics;
use crate::wait::Look;
use crate::workload::Stepped;

use lab::absent::absent;

use super::held_pins::{VERDICTS, WORKLOADS_PIN, wait_for_judged};

const ARMED: &str = "pinscope_writeback_hooks_armed";
const CHANGES: &str = "pinscope_writeback_hooks_changes_total";

/// What the kernel traces, a function a line.
const TRACED: &str = "/sys/kernel/tracing/enabled_functions";

/// Where it has kprobes, which it traces as well where they are ftrace's: on arm64 they are not.
const PROBED: &str = "/sys/kernel/debug/kprobes/list";

/// What writeback's hooks are attached to, on any kernel.
const FUNCTIONS: [&str; 5] = [
    "folio_mkclean",
    "page_mkclean",
    "page_vma_mapped_walk",
    "folio_remove_rmap_ptes",
    "page_remove_rmap",
];

pub(super) fn writeback_hooks_are_attached_while_pages_of_a_file_are_pinned(
    bench: &Bench,
) -> Result<()> {
    bench.needs_hook(WORKLOADS_PIN)?;
    bench.end_shared()?;
    let arguments = ["--writeback-hooks", "auto", "--writeback-calm", "4s"];
    let agent = Agent::start(bench, &arguments)?;
    if stays_attached(&agent)? {
        return Err(absent(
            "this kernel attaches no fentry program a second time",
        ));
    }
    let mut workload = Stepped::start(bench, &["hold", "--folios", "small"])?;
    workload.reach("held")?;
    let before = until_armed(&agent, true)?;
    let synced = workload.reach("synced")?;
    let walks = synced.walks_pinned;
    ensure!(walks > 0, "the workload caused no walk: {synced:?}");
    let now = wait_for_judged(&agent, &before, walks)?;
    let judged = |labels: &[(&str, &str)]| {
        now.sum_with(VERDICTS, labels) - before.sum_with(VERDICTS, labels)
    };
    // What walks came before is not known, and a flag of the mail is of that.
    for (estimator, verdict) in [("kernel", "pinned"), ("two_walk", "uncertain")] {
        let counted = judged(&[("estimator", estimator), ("verdict", verdict)]);
        ensure!(
            counted == walks,
            "{walks} walks met pinned folios, {estimator} said {verdict} {counted} times; {}",
            now.show(VERDICTS)
        );
    }
    workload.reach("released")?;
    workload.reach("settled")?;
    workload.finish()?;
    let end = until_armed(&agent, false)?;
    for change in ["armed", "disarmed"] {
        let counted = end.sum_with(CHANGES, &[("change", change)]);
        ensure!(counted > 0, "{}", end.show(CHANGES));
    }
    ensure!(
        end.sum("pinscope_pins")? == 0,
        "{}",
        end.show("pinscope_pins")
    );
    agent.end()
}

/// Whether the agent says that it cannot take them off; otherwise waits until they are off.
fn stays_attached(agent: &Agent) -> Result<bool> {
    agent.scrape_until("hooks that are off, or stay", |now| {
        if agent.has_logged("writeback's hooks stay attached")? {
            return Ok(Look::Done(true));
        }
        Ok(match (now.sum(ARMED)?, traced()?.is_empty()) {
            (0, true) => Look::Done(false),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
}

/// Waits until the hooks are there, or are not, and demands that the kernel says so, too.
fn until_armed(agent: &Agent, armed: bool) -> Result<Metrics> {
    let what = if armed {
        "hooks of writeback"
    } else {
        "no hook of writeback"
    };
    agent.scrape_until(what, |now| {
        let traced = traced()?;
        Ok(
            if now.sum(ARMED)? == i64::from(armed) && traced.is_empty() != armed {
                Look::Done(now.clone())
            } else {
                Look::NotYet(format!("{}; traced: {traced:?}", now.show(ARMED)))
            },
        )
    })
}

fn traced() -> Result<Vec<String>> {
    let read = |list| fs::read_to_string(list).with_context(|| format!("cannot read {list}"));
    let (traced, probed) = (read(TRACED)?, read(PROBED)?);
    let traced = traced.lines().filter_map(|it| it.split_whitespace().next());
    // `ADDRESS k FUNCTION+0x0`
    let probed = probed
        .lines()
        .filter_map(|it| it.split_whitespace().nth(2)?.split('+').next());
    Ok(traced
        .chain(probed)
        .filter(|it| FUNCTIONS.contains(it))
        .map(str::to_owned)
        .collect())
}
