//! The self-test at start: the agent makes pins whose truth it knows, and holds what
//! each attached hook saw of them against it. It also learns here what BTF does not
//! say: which page is the zero page and whether pins on it count, and (where it is no
//! enumerator) the value of `FOLL_LONGTERM`.
//!
//! What a call took is told by the owners' records, which name function, flags and
//! process; what was released by the ledger's slots in our name. Both are exact
//! whatever others pin meanwhile. A hook that nothing here goes through is untested,
//! and said to be, with the reason.

mod course;
mod deadline;
mod devices;
mod evidence;
mod faults;
mod heartbeat;
mod memory;
mod nesting;
mod outcome;
mod race;
mod trial;
mod trials;
mod uring;
mod walk;
mod zero_page;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hooks::Exercise;
use log::{debug, info, warn};

use crate::kernel::attach::{Attached, HookState};
use deadline::Deadline;
use evidence::Witness;
pub(crate) use heartbeat::{Evidence, Heartbeat};
pub(crate) use nesting::calls_nest;
pub(crate) use outcome::Tested;
use outcome::resolve;
use trials::Trials;

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// What it says of each hook that is attached, by name.
    pub(crate) tested: BTreeMap<&'static str, Tested>,
    /// Ledger key of the zero page, on a kernel that takes no pin on it.
    pub(crate) uncounted_zero_page: Option<u64>,
    /// The value of `FOLL_LONGTERM`.
    pub(crate) longterm_flag: Option<u32>,
    /// Pins of its own that no hook saw released, and that it took out of the ledger.
    pub(crate) forgotten_pins: u64,
    pub(crate) took: Duration,
}

/// What is not decided by then is untested. It leaves what the last call takes to end
/// within a second.
const TIME: Duration = Duration::from_millis(700);

/// Tests the hooks. What cannot be done for want of a right or a disk is no failure.
pub(crate) fn run(attached: &mut Attached) -> Findings {
    let start = Instant::now();
    let mut findings = Findings::default();
    let Attached {
        hooks: states,
        counters,
        ledger,
        samples,
        programs,
        owners,
        inspector,
        ..
    } = attached;
    let deadline = Deadline::within(TIME);
    let witness = match Witness::new(counters, ledger, owners, inspector) {
        Ok(witness) => witness,
        Err(error) => {
            warn!("no self-test: {error}");
            return findings;
        }
    };
    let mut trials = match Trials::new(states, witness, programs, deadline) {
        Ok(trials) => trials,
        Err(error) => {
            warn!("no self-test: {error}");
            return findings;
        }
    };
    trials.run();
    findings.longterm_flag = trials.longterm_flag();
    if let Some(flag) = findings.longterm_flag {
        debug!("self-test: FOLL_LONGTERM is {flag:#x}");
    }
    let walked = walk::observe(&mut trials, samples);
    trials.run_rarer();
    let raced = race::observe(&mut trials, samples);
    trials.unmap();
    // After the trials, whose time is short; and it takes none from them.
    if trials.sees(Exercise::Splice) {
        match zero_page::uncounted(&trials.witness) {
            Ok(found) => {
                debug!("self-test: zero page of which no pin counts: {found:x?}");
                findings.uncounted_zero_page = found;
            }
            Err(error) => warn!(
                "pins on the zero page may be in the totals, and the kernel does not count them: \
                 {error}"
            ),
        }
    }
    let (mut observations, reasons, forgotten) = trials.end();
    findings.forgotten_pins = forgotten;
    observations.extend(walked);
    observations.extend(raced);
    findings.tested = resolve(&observations);
    for hook in states.iter().filter(|it| it.attached.is_some()) {
        findings.tested.entry(hook.name).or_insert_with(|| {
            let why = reasons.get(hook.name).cloned();
            let excuse = || hooks::hook(hook.name).map_or_else(String::new, |it| it.test.excuse());
            Tested::Untested(why.unwrap_or_else(excuse))
        });
    }
    findings.took = start.elapsed();
    log_findings(states, &findings);
    findings
}

fn log_findings(states: &[HookState], findings: &Findings) {
    let mut counts = BTreeMap::new();
    for hook in states {
        let Some(tested) = findings.tested.get(hook.name) else {
            continue;
        };
        *counts.entry(tested.outcome()).or_insert(0) += 1;
        match tested {
            Tested::Passed => debug!("self-test: {} passed", hook.name),
            Tested::Failed(why) => warn!(
                "self-test: {} failed: {why}; what it feeds is withheld",
                hook.name
            ),
            Tested::Untested(why) => info!("self-test: {} untested: {why}", hook.name),
        }
    }
    let count = |outcome| counts.get(outcome).copied().unwrap_or(0);
    info!(
        "self-test: {} hooks passed, {} failed, {} untested, in {} ms",
        count("passed"),
        count("failed"),
        count("untested"),
        findings.took.as_millis()
    );
}
