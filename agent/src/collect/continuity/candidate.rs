//! A folio that the census found pinned, and what looks at it say since.

use crate::{census::PinnedFolio, collect::audit};

/// Looks at which a folio must have been the same before its pins are entered.
const LOOKS: u32 = 3;

/// Looks at a folio that others pin and release meanwhile. A call that has pinned it and not returned
/// is counted by the kernel only: not at each of so many.
const LOOKS_OF_BUSY: u32 = 8;

/// A folio that may have pins from before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) folio: PinnedFolio,
    pub(super) is_decided: bool,
    /// Looks at which nothing moved, and how many of the last were the same.
    looks: u32,
    same: u32,
    /// What the kernel had more than the ledger at the last of them, and what its slots looked
    /// like.
    lack: audit::Lack,
    /// The least that it had more.
    pub(super) pins: u64,
    /// When the first of those looks was, nanoseconds since boot.
    first_ns: u64,
}

impl Candidate {
    pub(super) fn new(folio: PinnedFolio) -> Self {
        Self {
            folio,
            is_decided: false,
            looks: 0,
            same: 0,
            lack: audit::Lack::default(),
            pins: u64::MAX,
            first_ns: 0,
        }
    }

    /// One look more; `None` where it moved meanwhile.
    pub(super) fn see(&mut self, lack: Option<audit::Lack>, now_ns: u64) {
        let Some(lack) = lack else {
            self.same = 0;
            return;
        };
        // It was released, or the ledger has it: it was pinned since.
        self.is_decided |= lack.pins == 0;
        if self.looks == 0 {
            self.first_ns = now_ns;
        }
        self.looks += 1;
        self.same = if self.same > 0 && lack == self.lack {
            self.same + 1
        } else {
            1
        };
        self.lack = lack;
        self.pins = self.pins.min(lack.pins);
    }

    /// Whether its pins are known.
    pub(super) fn is_ripe(&self) -> bool {
        !self.is_decided && (self.same >= LOOKS || self.looks >= LOOKS_OF_BUSY)
    }

    /// Whether they may be of a call that sleeps since then: it had them at every look.
    pub(super) fn may_be_of(&self, asleep_since: Option<u64>) -> bool {
        asleep_since.is_some_and(|it| it <= self.first_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of so many looks, a second apart.
    fn seen(looks: &[Option<(u64, u64)>]) -> Candidate {
        let mut it = Candidate::new(PinnedFolio {
            key: 7,
            mappers: 0,
            memcg: 0,
        });
        for (second, look) in looks.iter().enumerate() {
            let lack = look.map(|(pins, slots)| audit::Lack { pins, slots });
            it.see(lack, second as u64 + 1);
        }
        it
    }

    #[test]
    fn what_stays_the_same_is_ripe_after_three_looks() {
        assert!(!seen(&[Some((2, 5)); 2]).is_ripe());
        let it = seen(&[Some((2, 5)); 3]);
        assert_eq!((it.is_ripe(), it.pins, it.first_ns), (true, 2, 1));
    }

    #[test]
    fn what_changes_is_not_ripe_so_soon() {
        for changed in [Some((2, 6)), None] {
            let it = seen(&[Some((2, 5)), Some((2, 5)), changed, Some((2, 5))]);
            assert!(!it.is_ripe(), "{changed:?}");
        }
    }

    #[test]
    fn of_what_is_pinned_and_released_all_the_while_the_least_was_pinned_before() {
        let looks: Vec<_> = (0..8)
            .map(|look| Some((if look == 4 { 2 } else { 3 }, look)))
            .collect();
        let it = seen(&looks);
        assert_eq!((it.is_ripe(), it.pins), (true, 2));
        assert!(!seen(&looks[..7]).is_ripe());
    }

    #[test]
    fn what_the_ledger_has_or_nobody_pins_any_more_is_left_alone() {
        let it = seen(&[Some((2, 5)), Some((0, 5)), Some((2, 5))]);
        assert!(it.is_decided && !it.is_ripe());
    }

    #[test]
    fn a_call_that_slept_at_every_look_may_have_pinned_it() {
        let it = seen(&[Some((2, 5)); 3]);
        assert!(it.may_be_of(Some(1)));
        assert!(!it.may_be_of(Some(2)) && !it.may_be_of(None));
    }
}
