//! The trials: each takes references in one known way and releases them in another.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    thread::sleep,
    time::{Duration, Instant},
};

use hooks::Exercise;
use memmap2::MmapMut;

use super::{
    deadline::{Deadline, OUT_OF_TIME},
    evidence::{Acquired, Taken, Witness},
    memory::{OnDisk, PAGES, file_pages},
    outcome::Observation,
    trial::Trial,
};
use crate::kernel::attach::{CountedRuns, HookState, Programs};

/// Completed I/O releases references a moment after the reader was woken.
const PATIENCE: Duration = Duration::from_millis(100);

/// A run of a probe may be skipped for an interrupt: once more, then it is believed.
const TRIES: u32 = 2;

/// What was learned so far.
pub(super) struct Trials<'a> {
    pub(super) witness: Witness<'a>,
    pub(super) deadline: Deadline,
    attached: HashSet<&'static str>,
    programs: &'a Programs,
    /// Absent where the kernel does not count for this process.
    counted: Option<CountedRuns>,
    pub(super) observations: Vec<Observation>,
    reasons: BTreeMap<&'static str, String>,
    /// Shared pages of a memfd; absent while an act has them that may not end.
    pub(super) file: Option<MmapMut>,
    /// Keys of all memory that was worked on, and whether they were looked for
    /// since other memory is.
    pub(super) keys: HashSet<u64>,
    looked_for_keys: bool,
    /// Flags of a call for writing and of one for long, as the hooks saw them.
    pub(super) write: Option<u32>,
    pub(super) long: Option<u32>,
    pub(super) disk: io::Result<OnDisk>,
}

impl<'a> Trials<'a> {
    pub(super) fn new(
        states: &[HookState],
        witness: Witness<'a>,
        programs: &'a Programs,
        deadline: Deadline,
    ) -> io::Result<Self> {
        Ok(Self {
            witness,
            deadline,
            attached: states
                .iter()
                .filter_map(|it| it.attached.map(|_| it.name))
                .collect(),
            programs,
            counted: CountedRuns::begin(),
            observations: Vec::new(),
            reasons: BTreeMap::new(),
            file: Some(file_pages()?),
            keys: HashSet::new(),
            looked_for_keys: false,
            write: None,
            long: None,
            disk: deadline.act(OnDisk::make),
        })
    }

    pub(super) fn is_attached(&self, hook: &str) -> bool {
        self.attached.contains(hook)
    }

    /// Whether any hook is attached that sees what this exercise takes.
    pub(super) fn sees(&self, exercise: Exercise) -> bool {
        let takes = Trial::sure(exercise).takes;
        takes.iter().any(|it| self.is_attached(it))
    }

    /// Whether this exercise goes through a hook that none before has gone through.
    pub(super) fn is_due(&self, exercise: Exercise) -> bool {
        let hooks = Trial::sure(exercise).all();
        let mut attached = hooks.iter().filter(|it| self.is_attached(it));
        attached.any(|it| !self.has_passed(it))
    }

    /// From now on other memory is worked on.
    pub(super) fn with_other_memory(&mut self) {
        self.looked_for_keys = false;
    }

    /// Whether it has done what is due somewhere.
    fn has_passed(&self, hook: &str) -> bool {
        let mut seen = self.observations.iter().flat_map(|it| it.seen.iter());
        seen.any(|it| it.contains(&hook))
    }

    /// What is acquired and released in one call.
    pub(super) fn transient(
        &mut self,
        trial: &Trial,
        act: impl FnMut() -> io::Result<()>,
    ) -> Taken {
        self.held(trial, act, |()| Ok(()))
    }

    /// What is held in between.
    pub(super) fn held<T>(
        &mut self,
        trial: &Trial,
        mut take: impl FnMut() -> io::Result<T>,
        mut give: impl FnMut(T) -> io::Result<()>,
    ) -> Taken {
        let mut taken = Taken::new();
        if !trial.takes.iter().any(|it| self.is_attached(it)) {
            return taken;
        }
        for attempt in 1..=TRIES {
            if self.deadline.has_passed() {
                self.untested_trial(trial, OUT_OF_TIME);
                return taken;
            }
            let outcome = self.once(trial, &mut take, &mut give);
            match outcome {
                Err(error) => {
                    self.untested_trial(trial, &format!("the call for it was refused: {error}"));
                    return taken;
                }
                Ok((seen, found)) => {
                    taken = seen;
                    let is_well = found.iter().all(|it| it.seen.is_ok());
                    if is_well || attempt == TRIES {
                        self.observations.extend(found);
                        return taken;
                    }
                }
            }
        }
        taken
    }

    fn once<T>(
        &mut self,
        trial: &Trial,
        take: &mut impl FnMut() -> io::Result<T>,
        give: &mut impl FnMut(T) -> io::Result<()>,
    ) -> io::Result<(Taken, Vec<Observation>)> {
        let before = self.witness.taken();
        let counted = (!trial.is_sure)
            .then(|| self.witness.acquired().ok())
            .flatten();
        let ran_before = self.runs();
        let holding = take()?;
        let taken = self.witness.taken_since(&before);
        let pages = sum(&taken, &trial.takes);
        if pages > 0 && !self.looked_for_keys {
            self.look_for_keys();
        }
        give(holding)?;
        let left = self.wait_for_release(trial, &taken);
        if self.deadline.has_passed() {
            // What is not there yet may be for want of time only.
            self.untested_trial(trial, OUT_OF_TIME);
            return Ok((taken, Vec::new()));
        }
        let about = self.attached_of(&trial.takes);
        let names: Vec<_> = taken.keys().map(|(function, _)| *function).collect();
        let all = PAGES as u64;
        if pages == 0 && !trial.is_sure && !self.kernel_pinned(counted) {
            self.untested(
                &trial.takes,
                "the kernel did otherwise than was meant".to_owned(),
            );
            return Ok((taken, Vec::new()));
        }
        if pages != all {
            let seen = Err(format!("{all} pages were taken, it saw {pages}"));
            return Ok((taken, vec![Observation { about, seen }]));
        }
        let mut found = vec![Observation {
            about,
            seen: Ok(names),
        }];
        let about = self.attached_of(trial.releases(&taken));
        if about.is_empty() {
            return Ok((taken, found));
        }
        let seen = match left {
            0 if about.len() == 1 => Ok(about.clone()),
            0 => match self.ran_since(ran_before.as_ref(), &about) {
                Some(ran) => Ok(ran),
                None => {
                    self.untested(&about, ONLY_ROOT.to_owned());
                    Ok(Vec::new())
                }
            },
            left => Err(format!(
                "{all} pages were released, it saw {}",
                all.saturating_sub(left)
            )),
        };
        found.push(Observation { about, seen });
        Ok((taken, found))
    }

    /// Finds where in the ledger the memory is that is worked on just now.
    pub(super) fn look_for_keys(&mut self) {
        self.keys.extend(self.witness.keys(self.deadline.at()));
        self.looked_for_keys = true;
    }

    /// References in our name that are left when no more are released.
    fn wait_for_release(&self, trial: &Trial, taken: &Taken) -> u64 {
        if trial.releases(taken).is_empty() {
            // Their release has no hook.
            self.witness.forget(&self.keys);
            return 0;
        }
        let until = self.deadline.at().min(Instant::now() + PATIENCE);
        loop {
            let left = self.witness.held(&self.keys);
            if left == 0 {
                return 0;
            }
            if Instant::now() > until {
                self.witness.forget(&self.keys);
                return left;
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Whether the kernel counted as many pins since; others' count as well.
    fn kernel_pinned(&self, before: Option<Acquired>) -> bool {
        let (Some(before), Ok(after)) = (before, self.witness.acquired()) else {
            return false;
        };
        after.pins.saturating_sub(before.pins) >= PAGES as u64
    }

    fn attached_of(&self, hooks: &[&'static str]) -> Vec<&'static str> {
        let attached = hooks.iter().copied();
        attached.filter(|it| self.is_attached(it)).collect()
    }

    pub(super) fn runs(&self) -> Option<HashMap<&'static str, u64>> {
        self.counted.as_ref().map(|_| self.programs.runs())
    }

    /// Which of the hooks ran since; `None` where the kernel does not say.
    pub(super) fn ran_since(
        &self,
        before: Option<&HashMap<&'static str, u64>>,
        hooks: &[&'static str],
    ) -> Option<Vec<&'static str>> {
        let (before, after) = (before?, self.runs()?);
        let runs = |all: &HashMap<&str, u64>, hook: &str| all.get(hook).copied().unwrap_or(0);
        let ran = hooks.iter().copied();
        Some(
            ran.filter(|hook| runs(&after, hook) > runs(before, hook))
                .collect(),
        )
    }

    pub(super) fn untested_trial(&mut self, trial: &Trial, why: &str) {
        self.untested(&trial.all(), why.to_owned());
    }

    pub(super) fn untested(&mut self, hooks: &[&'static str], why: String) {
        for hook in hooks {
            self.reasons.insert(hook, why.clone());
        }
    }

    /// The bit that a call for long has and one for writing has not: io_uring pins
    /// its buffers with both, on every kernel, and `process_vm_writev()` (or a direct
    /// read, where that one is not seen) with the second only. Anything but one bit
    /// is not understood.
    pub(super) fn longterm_flag(&self) -> Option<u32> {
        let flag = self.long? & !self.write?;
        flag.is_power_of_two().then_some(flag)
    }

    /// What was seen, and why the rest was not; and how many pins had to be taken out of the ledger.
    pub(super) fn end(self) -> (Vec<Observation>, BTreeMap<&'static str, String>, u64) {
        self.witness.forget(&self.keys);
        (self.observations, self.reasons, self.witness.forgotten())
    }
}

/// Why it is not told which of two hooks saw a thing.
pub(super) const ONLY_ROOT: &str = "only root is told how often its program runs";

/// Pages taken by the functions that were meant, or else by whichever it was: a
/// kernel may do it another way.
fn sum(taken: &Taken, meant: &[&str]) -> u64 {
    let mut by_them = taken
        .iter()
        .filter(|((it, _), _)| meant.contains(it))
        .peekable();
    if by_them.peek().is_some() {
        by_them.map(|(_, pages)| pages).sum()
    } else {
        taken.values().sum()
    }
}
