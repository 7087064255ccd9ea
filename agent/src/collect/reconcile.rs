//! The ledger's balance held against the kernel's own: `nr_foll_pin_acquired` less
//! `nr_foll_pin_released`.
//!
//! What was pinned when the agent started is in the kernel's balance and not in the
//! ledger; how much of it is left is known by the releases that the ledger did not have.
//! A look at both takes a moment: what was pinned and released meanwhile may be in one and
//! not in the other, and explains as much of a difference. So may calls that are asleep
//! with some of their pages pinned.

use std::time::Duration;

use probe_abi::CpuCounters;

use crate::kernel::vmstat::PinCounts;

/// Pages that the probes saw pinned and released, together.
pub(crate) fn moved(totals: &CpuCounters) -> u64 {
    totals
        .pages_pinned
        .wrapping_add(totals.pages_unpinned)
        .wrapping_add(totals.pages_rolled_back)
}

/// One look at both balances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// When, of the time awake.
    pub(crate) at: Duration,
    /// Pins in the ledger, and those that sampling keeps out of it.
    pub(crate) ledger: u64,
    pub(crate) kernel: PinCounts,
    /// How old the kernel's count may be: zero where it was read with all that its CPUs have
    /// not handed in.
    pub(crate) kernel_age: Duration,
    /// Pages that the probes saw pinned and released, together, until the look began and
    /// until it ended.
    pub(crate) moved: [u64; 2],
    /// Pages whose release the ledger did not have, ever.
    pub(crate) unmatched: u64,
    /// Pages that were found pinned and entered, ever.
    pub(crate) entered: u64,
    /// Pages that were counted as pinned and could not be entered, ever.
    pub(crate) unbooked: u64,
    /// Pages that calls which may be asleep were asked for.
    pub(crate) asleep: u64,
}

/// What came out of the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Of the pages that were pinned when the agent started, those not known to be released.
    pub(crate) preexisting: u64,
    /// The ledger's balance less the kernel's, as far as nothing explains it.
    pub(crate) difference: i64,
    /// Of the difference, what calls explain that are asleep.
    pub(crate) in_flight: u64,
    /// Whether nothing moved meanwhile, and no call is asleep: there is no more to explain.
    pub(crate) is_exact: bool,
}

/// Looks again and again.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    start: Option<Start>,
    /// Of what was found or released without having been known, as far as it was missed since
    /// the start and not pinned before it.
    missed: i64,
    known: i64,
    difference: i64,
    /// The last looks, as far back as the kernel's count may be old.
    moved: Vec<(Duration, u64)>,
    /// What had moved when the last look ended.
    last: Option<u64>,
}

/// What was pinned when the agent started, and by how much that may be off.
#[derive(Clone, Copy, Debug)]
struct Start {
    pages: i64,
    slack: u64,
    /// Whether it was looked at while nobody was in the middle of a call.
    is_certain: bool,
}

impl Start {
    /// The better of two. A thread that waits for a CPU between the kernel's count and ours moves
    /// nothing during a look, and has the kernel count more: so the lower one, until one is certain.
    fn or(self, other: Self) -> Self {
        let is_better = other.slack < self.slack
            || !self.is_certain && other.slack == self.slack && other.pages < self.pages;
        let best = if is_better { other } else { self };
        Self {
            is_certain: self.is_certain || other.is_certain,
            ..best
        }
    }
}

impl Reconciler {
    /// Takes a look into account.
    pub(crate) fn look(&mut self, look: &Look) -> Balance {
        let slack = self.slack(look);
        let known =
            look.unmatched.cast_signed() + look.entered.cast_signed() - look.unbooked.cast_signed();
        // What the kernel had more is what now turned up, and was not there before the start.
        self.missed += (known - self.known).clamp(0, (-self.difference).max(0));
        self.known = known;
        let known = known - self.missed;
        let kernel = look.kernel.outstanding();
        // The best look so far says what there was before: one at which nothing moved, nor did
        // since the last one.
        let ended = Some(look.moved[1]);
        let is_at_rest = slack == 0 && look.asleep == 0 && self.last == ended;
        self.last = ended;
        let found = Start {
            pages: (kernel - look.ledger.cast_signed() + known).max(0),
            slack,
            is_certain: is_at_rest,
        };
        let start = self.start.map_or(found, |it| it.or(found));
        self.start = Some(start);
        let preexisting = (start.pages - known).max(0);
        let difference = look.ledger.cast_signed() + preexisting - kernel;
        let slack = slack.saturating_add(start.slack);
        let beyond = beyond(difference, slack);
        let asleep = look.asleep.cast_signed();
        let in_flight = (-beyond).clamp(0, asleep);
        self.difference = beyond + in_flight;
        Balance {
            preexisting: preexisting.cast_unsigned(),
            difference: self.difference,
            in_flight: in_flight.cast_unsigned(),
            is_exact: slack == 0 && asleep == 0,
        }
    }

    /// What the kernel has more belongs to nobody from now on, as what was pinned before the
    /// start does: the whole ledger was looked through, and is right.
    pub(crate) fn settle(&mut self) {
        let more = (-self.difference).max(0);
        if let Some(start) = &mut self.start {
            start.pages += more;
            start.is_certain = true;
            self.difference += more;
        }
    }

    /// What may be in the one balance and not in the other.
    fn slack(&mut self, look: &Look) -> u64 {
        let [begun, ended] = look.moved;
        self.moved.push((look.at, ended));
        let oldest = look.at.saturating_sub(look.kernel_age);
        // One look from before that is kept: what moved since then may be missing.
        while self.moved.get(1).is_some_and(|it| it.0 <= oldest) {
            self.moved.remove(0);
        }
        let since = match self.moved.first() {
            Some((at, moved)) if *at <= oldest && !look.kernel_age.is_zero() => *moved,
            // The agent has not looked for long enough: all of it may be missing.
            Some(_) if !look.kernel_age.is_zero() => 0,
            Some(_) | None => begun,
        };
        ended.saturating_sub(since)
    }
}

/// What of a difference is more than the slack.
fn beyond(difference: i64, slack: u64) -> i64 {
    let rest = difference.unsigned_abs().saturating_sub(slack);
    i64::try_from(rest).unwrap_or(i64::MAX) * difference.signum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn kernel(outstanding: u64) -> PinCounts {
        PinCounts {
            acquired: 1_000_000 + outstanding,
            released: 1_000_000,
        }
    }

    /// A look at rest, where nothing is old.
    fn at_rest(ledger: u64, outstanding: u64) -> Look {
        Look {
            ledger,
            kernel: kernel(outstanding),
            ..Look::default()
        }
    }

    #[test]
    fn what_was_pinned_before_is_no_difference_and_goes_with_its_releases() {
        let mut reconciler = Reconciler::default();
        let balance = reconciler.look(&at_rest(0, 64));
        assert_eq!((balance.preexisting, balance.difference), (64, 0));
        let balance = reconciler.look(&at_rest(10, 74));
        assert_eq!((balance.preexisting, balance.difference), (64, 0));
        let balance = reconciler.look(&Look {
            unmatched: 60,
            ..at_rest(10, 14)
        });
        assert_eq!((balance.preexisting, balance.difference), (4, 0));
    }

    #[test]
    fn a_pin_that_stays_after_its_release_is_a_difference_until_it_is_taken_off() {
        let mut reconciler = Reconciler::default();
        reconciler.look(&at_rest(0, 0));
        assert_eq!(reconciler.look(&at_rest(18, 0)).difference, 18);
        assert_eq!(reconciler.look(&at_rest(0, 0)).difference, 0);
    }

    #[test]
    fn a_pin_that_was_not_seen_is_a_difference_until_it_is_entered_or_released() {
        let mut reconciler = Reconciler::default();
        reconciler.look(&at_rest(0, 0));
        assert_eq!(reconciler.look(&at_rest(0, 5)).difference, -5);
        let entered = Look {
            entered: 5,
            ..at_rest(5, 5)
        };
        assert_eq!(reconciler.look(&entered).difference, 0);
        let mut other = Reconciler::default();
        other.look(&at_rest(0, 0));
        let released = Look {
            unmatched: 5,
            ..at_rest(0, 0)
        };
        assert_eq!(other.look(&released).difference, 0);
    }

    #[test]
    fn what_was_missed_is_told_from_what_was_pinned_before() {
        let mut reconciler = Reconciler::default();
        assert_eq!(reconciler.look(&at_rest(0, 64)).preexisting, 64);
        assert_eq!(reconciler.look(&at_rest(0, 69)).difference, -5);
        // The five are found.
        let found = Look {
            entered: 5,
            ..at_rest(5, 69)
        };
        let balance = reconciler.look(&found);
        assert_eq!((balance.preexisting, balance.difference), (64, 0));
        // Released, and one of those from before as well.
        let released = Look {
            unmatched: 1,
            entered: 5,
            ..at_rest(0, 63)
        };
        let balance = reconciler.look(&released);
        assert_eq!((balance.preexisting, balance.difference), (63, 0));
    }

    #[test]
    fn what_nobody_can_find_is_nobodys_once_that_is_settled() {
        let mut reconciler = Reconciler::default();
        reconciler.look(&at_rest(0, 0));
        assert_eq!(reconciler.look(&at_rest(0, 5)).difference, -5);
        reconciler.settle();
        let balance = reconciler.look(&at_rest(0, 5));
        assert_eq!((balance.preexisting, balance.difference), (5, 0));
        let released = Look {
            unmatched: 5,
            ..at_rest(0, 0)
        };
        let balance = reconciler.look(&released);
        assert_eq!((balance.preexisting, balance.difference), (0, 0));
    }

    #[test]
    fn a_look_is_exact_when_nothing_moved() {
        let mut reconciler = Reconciler::default();
        assert!(reconciler.look(&at_rest(0, 0)).is_exact);
        let busy = Look {
            moved: [1, 2],
            ..at_rest(0, 0)
        };
        assert!(!reconciler.look(&busy).is_exact);
    }

    #[test]
    fn what_moves_during_a_look_explains_as_much() {
        let mut reconciler = Reconciler::default();
        reconciler.look(&at_rest(0, 0));
        let busy = Look {
            moved: [100, 130],
            ..at_rest(40, 10)
        };
        assert_eq!(reconciler.look(&busy).difference, 0);
        let off = Look {
            moved: [100, 130],
            ..at_rest(50, 10)
        };
        assert_eq!(reconciler.look(&off).difference, 10);
    }

    #[test]
    fn calls_that_are_asleep_explain_what_the_kernel_has_more() {
        let mut reconciler = Reconciler::default();
        reconciler.look(&at_rest(0, 0));
        let balance = reconciler.look(&Look {
            asleep: 64,
            ..at_rest(0, 16)
        });
        assert_eq!((balance.difference, balance.in_flight), (0, 16));
        let balance = reconciler.look(&Look {
            asleep: 64,
            ..at_rest(16, 0)
        });
        assert_eq!((balance.difference, balance.in_flight), (16, 0));
    }

    /// As a service sees it: the kernel's count is a second old.
    #[test]
    fn an_old_count_is_compared_once_nothing_has_moved_for_so_long() {
        let mut reconciler = Reconciler::default();
        let look = |second: u32, ledger: u64, outstanding: u64, moved: u64| Look {
            at: SECOND * second,
            kernel_age: SECOND,
            moved: [moved, moved],
            ..at_rest(ledger, outstanding)
        };
        // Five pins are pending at the start, and come a moment later.
        assert_eq!(reconciler.look(&look(10, 5, 0, 5)).difference, 0);
        assert_eq!(reconciler.look(&look(11, 5, 5, 5)).difference, 0);
        let settled = reconciler.look(&look(13, 5, 5, 5));
        assert_eq!((settled.preexisting, settled.difference), (0, 0));
        // While it works the count lags; at rest it does not.
        assert_eq!(reconciler.look(&look(14, 205, 5, 205)).difference, 0);
        assert_eq!(reconciler.look(&look(15, 205, 205, 205)).difference, 0);
        assert_eq!(reconciler.look(&look(17, 205, 204, 205)).difference, 1);
    }

    /// On one CPU two threads of three are in the middle of something at each look.
    #[test]
    fn who_waits_for_a_cpu_at_the_start_had_nothing_pinned_before() {
        let mut reconciler = Reconciler::default();
        let look = |ledger: u64, outstanding: u64, moved: u64| Look {
            moved: [moved, moved],
            ..at_rest(ledger, outstanding)
        };
        // Four pages are counted, and their call has not returned.
        assert_eq!(reconciler.look(&look(0, 64 + 4, 14)).preexisting, 68);
        let balance = reconciler.look(&look(3, 64 + 3, 28));
        assert_eq!((balance.preexisting, balance.difference), (64, 0));
        // At rest it is certain: what the ledger has more from then on was never there.
        assert_eq!(reconciler.look(&look(0, 64, 31)).difference, 0);
        assert_eq!(reconciler.look(&look(0, 64, 31)).difference, 0);
        let balance = reconciler.look(&look(18, 64, 67));
        assert_eq!((balance.preexisting, balance.difference), (64, 18));
    }

    #[test]
    fn a_start_under_load_leaves_no_difference_behind() {
        let mut reconciler = Reconciler::default();
        // The first look is off by what moved in it.
        let busy = Look {
            moved: [0, 50],
            ..at_rest(30, 9)
        };
        assert_eq!(reconciler.look(&busy).difference, 0);
        assert_eq!(reconciler.look(&at_rest(0, 0)).difference, 0);
        assert_eq!(reconciler.look(&at_rest(1, 0)).difference, 1);
    }
}
