//! The driver for a captured walk: one sample in, one judgement out.
//!
//! Which captured value stands for which observation:
//!
//! | asked | answered from |
//! | --- | --- |
//! | the count, before a walk | mapcount and pins at entry |
//! | the count, after a walk | mapcount and pins at exit |
//! | the walk | `found` |
//! | the flag, before the walk | the flag kept from before, or a GUP since |
//! | the flag, after the walk | that, or a GUP during the walk |
//! | the second walk of `two_walk` | the zaps after the walk; those during it left a marker or not |
//! | the second walk of `ordered_recheck` | `found` less those zaps: its read is at exit, so nothing follows it |
//! | references, pins | the values at exit |
//!
//! So `ordered` is answered from the entry and the walk, `simple` from the walk and the exit.
//!
//! Where a flag is unknown, or the order of races was not seen, the sample is judged once for each way it may have
//! been, and the verdict stands only where all agree.

use crate::{
    Answer, Ask, Doubt, Estimator, Flag, Flags, MAX_STEPS, Machine, Missing, Observations, Verdict,
};

/// One question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What the estimator wanted.
    pub ask: Ask,
    /// What it was given.
    pub answer: Answer,
}

/// The steps of one judgement, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    steps: [Step; MAX_STEPS],
    len: u8,
}

impl Steps {
    const NONE: Self = Self {
        steps: [Step {
            ask: Ask::ReadFlag,
            answer: Answer::Done,
        }; MAX_STEPS],
        len: 0,
    };

    /// The steps taken.
    #[must_use]
    pub fn as_slice(&self) -> &[Step] {
        self.steps
            .get(..usize::from(self.len))
            .unwrap_or(&self.steps)
    }

    #[inline]
    fn push(&mut self, step: Step) {
        if let Some(slot) = self.steps.get_mut(usize::from(self.len)) {
            *slot = step;
            self.len += 1;
        }
    }
}

/// What one estimator made of one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Judgement {
    /// What it says.
    pub verdict: Verdict,
    /// Its pin flag after the walk: hand it in with the folio's next sample.
    pub flag_after: Flag,
    /// How it came to it. Where several ways were tried, the first.
    pub steps: Steps,
}

/// One way in which what was not seen may have been.
#[derive(Clone, Copy)]
struct World {
    flag: bool,
    gup_in_walk: bool,
    markers: Result<u32, Missing>,
}

/// Judges one walk with one estimator, whose flag for this folio is `flag`.
#[must_use]
pub fn judge(estimator: Estimator, flag: Flag, seen: &Observations) -> Judgement {
    judge_here(estimator, flag, seen)
}

/// Judges one walk with every estimator; the results stand in the order of [`Estimator::ALL`].
#[must_use]
pub fn judge_all(flags: Flags, seen: &Observations) -> ([Judgement; Estimator::COUNT], Flags) {
    let one = |it| judge_here(it, flags.get(it), seen);
    // Written out and not mapped, so that each rule is compiled for its estimator alone.
    let judged = [
        one(Estimator::Simple),
        one(Estimator::TwoWalk),
        one(Estimator::TwoWalkFixed),
        one(Estimator::Ordered),
        one(Estimator::OrderedRecheck),
        one(Estimator::ExpectedRefs),
        one(Estimator::Kernel),
        one(Estimator::Ledger),
    ];
    let after = Estimator::ALL
        .into_iter()
        .zip(&judged)
        .fold(flags, |flags, (it, judgement)| {
            flags.with(it, judgement.flag_after)
        });
    (judged, after)
}

#[inline(always)]
fn judge_here(estimator: Estimator, flag: Flag, seen: &Observations) -> Judgement {
    let before = flag.after_gup(seen.gup_before());
    let during = Flag::Clear.after_gup(seen.gup_in_walk());
    let known = |flag| match flag {
        Flag::Clear => Some(false),
        Flag::Set => Some(true),
        Flag::Unknown => None,
    };
    let markers = match seen.markers() {
        Ok((least, most)) if least != most => None,
        Ok((least, _)) => Some(Ok(least)),
        Err(missing) => Some(Err(missing)),
    };
    match (known(before), known(during), markers) {
        (Some(flag), Some(gup_in_walk), Some(markers)) => run(
            estimator,
            World {
                flag,
                gup_in_walk,
                markers,
            },
            seen,
        ),
        _ => judge_every_world(estimator, before, during, seen),
    }
}

#[cold]
fn judge_every_world(
    estimator: Estimator,
    before: Flag,
    during: Flag,
    seen: &Observations,
) -> Judgement {
    let (least, most) = match seen.markers() {
        Ok((least, most)) => (Ok(least), Ok(most)),
        Err(missing) => (Err(missing), Err(missing)),
    };
    let mut merged: Option<Judgement> = None;
    for &flag in before.possible() {
        for &gup_in_walk in during.possible() {
            for markers in [least, most] {
                let judged = run(
                    estimator,
                    World {
                        flag,
                        gup_in_walk,
                        markers,
                    },
                    seen,
                );
                merged = Some(match merged {
                    None => judged,
                    Some(first) => merge(first, judged, before, seen),
                });
            }
        }
    }
    // Every list of possibilities has at least one.
    merged.unwrap_or(Judgement {
        verdict: Verdict::Uncertain(Doubt::Ambiguous),
        flag_after: Flag::Unknown,
        steps: Steps::NONE,
    })
}

fn merge(first: Judgement, other: Judgement, before: Flag, seen: &Observations) -> Judgement {
    let flag_after = if first.flag_after == other.flag_after {
        first.flag_after
    } else {
        Flag::Unknown
    };
    let verdict = match (first.verdict, other.verdict) {
        (first, other) if first == other => first,
        (Verdict::Uncertain(doubt), _) | (_, Verdict::Uncertain(doubt)) => {
            Verdict::Uncertain(doubt)
        }
        (Verdict::Pinned | Verdict::NotPinned, Verdict::Pinned | Verdict::NotPinned) => {
            Verdict::Uncertain(disagreement(before, seen))
        }
    };
    Judgement {
        verdict,
        flag_after,
        steps: first.steps,
    }
}

/// Why two ways in which the sample may have been lead to two verdicts.
fn disagreement(before: Flag, seen: &Observations) -> Doubt {
    if let (Flag::Unknown, Err(missing)) = (before, seen.gup_before()) {
        return Doubt::Unseen(missing);
    }
    if let Err(missing) = seen.gup_in_walk() {
        return Doubt::Unseen(missing);
    }
    match before {
        Flag::Unknown => Doubt::Unseen(Missing::NotInLedger),
        Flag::Clear | Flag::Set => Doubt::Ambiguous,
    }
}

#[inline(always)]
fn run(estimator: Estimator, world: World, seen: &Observations) -> Judgement {
    let mut answers = Answers {
        world,
        seen,
        flag: world.flag,
        walked: false,
    };
    let mut steps = Steps::NONE;
    let verdict = Machine::new(estimator).run(|ask| {
        let answer = answers.to(ask);
        steps.push(Step { ask, answer });
        answer
    });
    Judgement {
        verdict,
        flag_after: answers.flag_after(verdict),
        steps,
    }
}

/// Answers from one sample, in one world.
struct Answers<'a> {
    world: World,
    seen: &'a Observations,
    flag: bool,
    walked: bool,
}

impl Answers<'_> {
    #[inline(always)]
    fn to(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::ReadFlag => Answer::Flag(self.flag),
            Ask::TakeFlag => Answer::Flag(core::mem::take(&mut self.flag)),
            Ask::ClearFlag => self.put_flag(false),
            Ask::SetFlag => self.put_flag(true),
            Ask::Count if self.walked => number(self.seen.count_exit()),
            Ask::Count => number(self.seen.count_entry()),
            Ask::Walk => {
                self.walked = true;
                self.flag |= self.world.gup_in_walk;
                number(self.seen.found)
            }
            Ask::MarkerWalk => number(self.world.markers),
            Ask::RecheckWalk { .. } => number(self.present_at_exit()),
            Ask::Explained => number(self.seen.explained()),
            Ask::Refcount => self
                .seen
                .refcount
                .map_or_else(Answer::Unknown, Answer::Refcount),
            Ask::Pincount => self
                .seen
                .pincount
                .map_or_else(Answer::Unknown, Answer::Pincount),
            Ask::Pins => number(self.seen.pins()),
        }
    }

    fn put_flag(&mut self, flag: bool) -> Answer {
        self.flag = flag;
        Answer::Done
    }

    fn present_at_exit(&self) -> Result<u32, Missing> {
        Ok(self.seen.found?.saturating_sub(self.world.markers?))
    }

    /// The flag after the verdict. An estimator that could not decide may not have cleared it.
    fn flag_after(&self, verdict: Verdict) -> Flag {
        let set = match verdict {
            Verdict::Pinned | Verdict::NotPinned => {
                self.flag || !self.walked && self.world.gup_in_walk
            }
            Verdict::Uncertain(_) => self.world.flag || self.world.gup_in_walk,
        };
        if set { Flag::Set } else { Flag::Clear }
    }
}

fn number(seen: Result<u32, Missing>) -> Answer {
    seen.map_or_else(Answer::Unknown, Answer::Number)
}
