//! From samples to verdicts: keeps each folio's pin flags between its walks,
//! asks every estimator, and keeps the score.
//!
//! What is judged how is the `estimator` crate's; here a captured sample becomes
//! its observations.

use std::collections::HashMap;

use estimator::{Flags, Judgement, Missing, Observations, Pincount, Scoreboard, Seen, judge_all};
use probe_abi::{MkcleanSample, SampleFlags};

/// The collector's judge.
pub(crate) struct Judge {
    folios: HashMap<u64, Folio>,
    capacity: usize,
    inputs: Inputs,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) judged: u64,
    /// Folios whose flags were forgotten because there were too many.
    pub(crate) forgotten: u64,
}

/// Which inputs the attached hooks can give; what they cannot is unknown,
/// whatever a sample says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs {
    pub(crate) ptes: bool,
    pub(crate) zaps: bool,
}

/// What is remembered of a folio from one walk to the next.
#[derive(Clone, Copy)]
struct Folio {
    flags: Flags,
    /// A frame is used again: another file's page there is another folio.
    mapping: u64,
    index: u64,
    gups: u32,
}

/// What was lost since the agent started, as far as it touches verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Samples that never came: flags may be out of date.
    pub(crate) samples: u64,
    /// Pages that the ledger should hold and does not.
    pub(crate) pages: u64,
}

impl Judge {
    /// A judge that remembers at most `capacity` folios.
    pub(crate) fn new(capacity: usize, inputs: Inputs) -> Self {
        Self {
            folios: HashMap::new(),
            capacity,
            inputs,
            scoreboard: Scoreboard::EMPTY,
            judged: 0,
            forgotten: 0,
        }
    }

    /// Judges one walk.
    pub(crate) fn judge(
        &mut self,
        sample: &MkcleanSample,
        losses: Losses,
    ) -> [Judgement; estimator::Estimator::COUNT] {
        let known = self
            .folios
            .get(&sample.folio)
            .copied()
            .filter(|it| it.mapping == sample.mapping && it.index == sample.index);
        let guped_since = match known {
            Some(folio) => folio.gups != sample.gups_entry,
            None => sample.has(SampleFlags::GUPED),
        };
        let seen = observations(sample, self.inputs, guped_since, losses);
        let flags = known.map_or_else(Flags::default, |it| it.flags);
        let (judged, flags) = judge_all(flags, &seen);
        self.scoreboard.record(&judged);
        self.judged += 1;
        if sample.has(SampleFlags::SETTLES) || !sample.has(SampleFlags::GUPED) {
            self.folios.remove(&sample.folio);
        } else {
            self.remember(sample, flags);
        }
        judged
    }

    /// After lost samples no stored flag is certain.
    pub(crate) fn forget_all(&mut self) {
        self.forgotten += self.folios.len() as u64;
        self.folios.clear();
    }

    fn remember(&mut self, sample: &MkcleanSample, flags: Flags) {
        if self.folios.len() >= self.capacity && !self.folios.contains_key(&sample.folio) {
            self.forget_all();
        }
        let folio = Folio {
            flags,
            mapping: sample.mapping,
            index: sample.index,
            gups: sample.gups_entry.wrapping_add(sample.gups),
        };
        self.folios.insert(sample.folio, folio);
    }
}

fn observations(
    sample: &MkcleanSample,
    inputs: Inputs,
    guped_since: bool,
    losses: Losses,
) -> Observations {
    let has = |flag| sample.has(flag);
    let truth = has(SampleFlags::TRUTH_KNOWN);
    let mapcount = |value| known(has(SampleFlags::MAPCOUNT_KNOWN), value, Missing::Unreadable);
    let exit_pins = references(sample, sample.pins_exit, sample.gets_exit);
    let zaps_known = inputs.zaps && has(SampleFlags::ZAPS_KNOWN);
    let zaps = if has(SampleFlags::GUPED) {
        known(zaps_known, sample.zaps, Missing::NoHook)
    } else {
        // Decrements are noted in the ledger; a folio outside it has no note.
        Err(Missing::Untracked)
    };
    Observations {
        mapcount_entry: mapcount(sample.mapcount_entry),
        pins_entry: references(sample, sample.pins_entry, sample.gets_entry),
        guped_since: Ok(guped_since),
        gups_in_walk: Ok(sample.gups),
        found: known(
            inputs.ptes && has(SampleFlags::PTES_KNOWN),
            sample.ptes_found,
            Missing::NoHook,
        ),
        zaps_in_walk: zaps,
        // The exit is the end of the walk: nothing lies between them.
        zaps_after_walk: Ok(0),
        mapcount_exit: mapcount(sample.mapcount_exit),
        pins_exit: exit_pins,
        refcount: known(truth, sample.refcount as i32, Missing::Unreadable),
        pincount: known(
            truth,
            if has(SampleFlags::LARGE) {
                Pincount::Exact(sample.pincount as i32)
            } else {
                Pincount::Absent
            },
            Missing::Unreadable,
        ),
        nr_pages: Ok(if has(SampleFlags::CACHED) {
            sample.pages
        } else {
            0
        }),
        private_refs: Ok(u32::from(has(SampleFlags::PRIVATE))),
        // Writeback looks folios up in batches, and holds a reference on each.
        caller_refs: Ok(1),
        // A page that the ledger lost may be one of this folio's, unless the
        // folio is in the book.
        lost: losses.pages > 0 && !has(SampleFlags::GUPED),
    }
}

/// Pins and plain references together: the mail counts every GUP.
///
/// Most plain references are given back where no hook sees it. More of them
/// than the reference count leaves room for are not held any more, and how
/// many are is unknown.
fn references(sample: &MkcleanSample, pins: u32, gets: u32) -> Seen<u32> {
    if gets == 0 {
        return Ok(pins);
    }
    let bias = if sample.has(SampleFlags::LARGE) {
        1
    } else {
        1024
    };
    let explained = u64::from(sample.mapcount_exit)
        + u64::from(sample.pages)
        + u64::from(sample.has(SampleFlags::PRIVATE))
        + u64::from(sample.pins_exit) * bias;
    let room = u64::from(sample.refcount).saturating_sub(explained);
    if u64::from(gets) > room {
        Err(Missing::Untracked)
    } else {
        Ok(pins + gets)
    }
}

fn known<T>(known: bool, value: T, otherwise: Missing) -> Seen<T> {
    if known { Ok(value) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use estimator::{Estimator, Outcome};

    use super::*;

    const INPUTS: Inputs = Inputs {
        ptes: true,
        zaps: true,
    };

    /// One small file folio, mapped once, nothing pinned, walked cleanly.
    fn quiet() -> MkcleanSample {
        MkcleanSample {
            folio: 0xffff_ea00_0000_1000,
            mapping: 0xffff_8880_0000_1000,
            mapcount_entry: 1,
            mapcount_exit: 1,
            ptes_found: 1,
            refcount: 3,
            pages: 1,
            flags: SampleFlags::GUPED
                | SampleFlags::MAPCOUNT_KNOWN
                | SampleFlags::PTES_KNOWN
                | SampleFlags::ZAPS_KNOWN
                | SampleFlags::TRUTH_KNOWN
                | SampleFlags::CACHED,
            ..MkcleanSample::default()
        }
    }

    fn pinned() -> MkcleanSample {
        MkcleanSample {
            pins_entry: 1,
            pins_exit: 1,
            refcount: 3 + 1024,
            gups_entry: 1,
            ..quiet()
        }
    }

    fn check(samples: &[MkcleanSample], estimator: Estimator, expected: &[Outcome]) {
        let mut judge = Judge::new(16, INPUTS);
        let outcomes: Vec<Outcome> = samples
            .iter()
            .map(|it| {
                judge.judge(it, Losses::default())[estimator as usize]
                    .verdict
                    .outcome()
            })
            .collect();
        assert_eq!(outcomes, expected, "{}", estimator.name());
    }

    #[test]
    fn a_pin_held_across_walks_is_seen_by_every_estimator_each_time() {
        for estimator in [Estimator::TwoWalk, Estimator::Kernel, Estimator::Ledger] {
            check(&[pinned(), pinned()], estimator, &[Outcome::Pinned; 2]);
        }
    }

    #[test]
    fn a_released_pin_is_not_pinned_at_the_next_walk() {
        check(
            &[pinned(), quiet()],
            Estimator::TwoWalk,
            &[Outcome::Pinned, Outcome::NotPinned],
        );
    }

    #[test]
    fn without_the_hook_that_counts_entries_two_walk_is_uncertain() {
        let mut judge = Judge::new(
            16,
            Inputs {
                ptes: false,
                zaps: true,
            },
        );
        let judged = judge.judge(&pinned(), Losses::default());
        let outcome = |it: Estimator| judged[it as usize].verdict.outcome();
        assert_eq!(outcome(Estimator::TwoWalk), Outcome::Uncertain);
        assert_eq!(outcome(Estimator::Kernel), Outcome::Pinned);
    }

    #[test]
    fn more_plain_references_than_the_count_has_room_for_are_uncertain() {
        let stale = MkcleanSample {
            gets_entry: 5,
            gets_exit: 5,
            gups_entry: 5,
            ..quiet()
        };
        check(&[stale], Estimator::TwoWalk, &[Outcome::Uncertain]);
    }

    #[test]
    fn another_file_in_the_same_frame_starts_with_a_clear_flag() {
        let mut judge = Judge::new(16, INPUTS);
        judge.judge(&pinned(), Losses::default());
        let other = MkcleanSample {
            mapping: 0xffff_8880_0000_2000,
            flags: quiet().flags & !SampleFlags::GUPED,
            mapcount_entry: 2,
            mapcount_exit: 2,
            ..quiet()
        };
        let judged = judge.judge(&other, Losses::default());
        let two_walk = judged[Estimator::TwoWalk as usize].verdict.outcome();
        assert_eq!(two_walk, Outcome::NotPinned);
    }

    #[test]
    fn memory_for_flags_is_bounded() {
        let mut judge = Judge::new(16, INPUTS);
        for folio in 0..1000 {
            judge.judge(
                &MkcleanSample {
                    folio: folio * 64,
                    ..pinned()
                },
                Losses::default(),
            );
        }
        assert!(judge.folios.len() <= 16);
        assert!(judge.forgotten > 0);
    }
}
