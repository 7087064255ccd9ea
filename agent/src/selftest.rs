//! The self-test at start: the agent makes pins whose truth it knows, and holds what
//! each attached hook saw of them against it. It also learns here what BTF does not
//! say: which page is the zero page and whether pins on it count, and (where it is no
//! enumerator) the value of `FOLL_LONGTERM`.
//!
//! What a call took is told by the owners' records, which name function, flags and
//! process; what was given back by the ledger's slots in our name. Both are exact
//! whatever others pin meanwhile. A hook that nothing here goes through is untested,
//! and said to be, with the reason.

mod course;
mod deadline;
mod devices;
mod evidence;
mod faults;
mod memory;
mod race;
mod trials;
mod uring;
mod walk;
mod ways;
mod zero_page;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aya::maps::{MapData, RingBuf};
use log::{debug, info, warn};

use crate::{
    attach::{HookState, Programs},
    books::Books,
    owners::Owners,
};
use deadline::Deadline;
use trials::Trials;
pub(crate) use ways::way;

/// What the self-test has to say of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    /// It saw exactly what was done.
    Passed,
    /// It did not; how.
    Failed(String),
    /// Nothing could be done that goes through it, or not told apart; why.
    Untested(String),
}

impl Tested {
    pub(crate) const OUTCOMES: [&str; 3] = ["passed", "failed", "untested"];

    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Passed => Self::OUTCOMES[0],
            Self::Failed(_) => Self::OUTCOMES[1],
            Self::Untested(_) => Self::OUTCOMES[2],
        }
    }
}

/// What came out besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Ledger key of the zero page, on a kernel that takes no pin on it.
    pub(crate) uncounted_zero_page: Option<u64>,
    /// The value of `FOLL_LONGTERM`.
    pub(crate) longterm_flag: Option<u32>,
    pub(crate) took: Duration,
}

/// What several actions said of hooks: `about` are those of which one should have
/// seen it, `seen` those that did, or what was wrong.
#[derive(Clone, Debug)]
struct Observation {
    about: Vec<&'static str>,
    seen: Result<Vec<&'static str>, String>,
}

/// What is not decided by then is untested. It leaves what the last call takes to end
/// within a second.
const TIME: Duration = Duration::from_millis(700);

/// Tests the hooks and writes into them what came out. What cannot be done for want
/// of a right or a disk is no failure.
pub(crate) fn run(
    hooks: &mut [HookState],
    books: &Books,
    owners: &Owners,
    programs: &Programs,
    samples: &mut RingBuf<MapData>,
) -> Findings {
    let start = Instant::now();
    let mut findings = Findings::default();
    let deadline = Deadline::within(TIME);
    let mut trials = match Trials::new(hooks, books, owners, programs, deadline) {
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
    if trials.serves("pin_user_pages_remote")
        && let Some(file) = &trials.file
    {
        match zero_page::uncounted(&trials.keys, file) {
            Ok(found) => findings.uncounted_zero_page = found,
            Err(error) => warn!("whether pins on the zero page count is not known: {error}"),
        }
    }
    let walked = walk::observe(&mut trials, samples);
    trials.run_rarer();
    let raced = race::observe(&mut trials, samples);
    trials.unmap();
    let (mut observations, reasons) = trials.end();
    observations.extend(walked);
    observations.extend(raced);
    let verdicts = resolve(&observations);
    for hook in hooks.iter_mut().filter(|it| it.attached.is_some()) {
        hook.tested = verdicts.get(hook.name).cloned().unwrap_or_else(|| {
            let why = reasons.get(hook.name).cloned();
            Tested::Untested(why.unwrap_or_else(|| way(hook.name).excuse()))
        });
    }
    findings.took = start.elapsed();
    tell(hooks, findings.took);
    findings
}

/// Who of several must have failed is known once the others have passed elsewhere.
fn resolve(observations: &[Observation]) -> BTreeMap<&'static str, Tested> {
    let mut verdicts = BTreeMap::new();
    for it in observations {
        for hook in it.seen.iter().flatten() {
            verdicts.insert(*hook, Tested::Passed);
        }
    }
    let passed: Vec<&str> = verdicts.keys().copied().collect();
    for it in observations {
        let Err(why) = &it.seen else {
            continue;
        };
        let suspects: Vec<_> = it.about.iter().filter(|it| !passed.contains(it)).collect();
        let blamed = if suspects.is_empty() {
            it.about.iter().collect()
        } else {
            suspects
        };
        for hook in blamed {
            verdicts.insert(*hook, Tested::Failed(why.clone()));
        }
    }
    verdicts
}

fn tell(hooks: &[HookState], took: Duration) {
    let mut counts = BTreeMap::new();
    for hook in hooks.iter().filter(|it| it.attached.is_some()) {
        *counts.entry(hook.tested.outcome()).or_insert(0) += 1;
        match &hook.tested {
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
        took.as_millis()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(
        about: &[&'static str],
        seen: Result<&[&'static str], &'static str>,
    ) -> Observation {
        Observation {
            about: about.to_vec(),
            seen: seen.map(<[_]>::to_vec).map_err(str::to_owned),
        }
    }

    #[test]
    fn of_several_the_one_fails_that_has_passed_nowhere() {
        let verdicts = resolve(&[
            observation(&["page", "folio"], Err("saw 0 of 16")),
            observation(&["page"], Ok(&["page"])),
        ]);
        assert_eq!(verdicts["page"], Tested::Passed);
        assert_eq!(verdicts["folio"], Tested::Failed("saw 0 of 16".to_owned()));
    }

    #[test]
    fn one_that_passes_here_and_fails_there_has_failed() {
        let verdicts = resolve(&[
            observation(&["page"], Err("saw 0 of 16")),
            observation(&["page"], Ok(&["page"])),
        ]);
        assert_eq!(verdicts["page"].outcome(), "failed");
    }

    #[test]
    fn nothing_learned_is_no_verdict() {
        assert!(resolve(&[observation(&["page", "folio"], Ok(&[]))]).is_empty());
    }
}
