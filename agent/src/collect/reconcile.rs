//! The ledger's balance held against the kernel's own: `nr_foll_pin_acquired` less
//! `nr_foll_pin_released`.
//!
//! What was pinned when the agent started is in the kernel's balance and not in the
//! ledger; how much of it is left is known by the releases that the ledger did not have.
//! A look at both takes a moment: what was pinned and released meanwhile may be in one and
//! not in the other, and explains as much of a difference. So may calls that are asleep
//! with some of their pages pinned. A thread that waits for a CPU in the middle of a call moves
//! nothing during a look: unless nobody works at all, a difference is what several looks running have.

use std::time::Duration;

use probe_abi::CpuCounters;

use crate::kernel::vmstat::PinCounts;

/// Pages that the probes saw pinned and released, together.
pub(crate) fn moved(totals: &CpuCounters) -> u64 {
    totals
        .pages_pinned
        .wrapping_add(totals.pages_released)
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
    /// The ledger's balance less the kernel's, as far as nothing explains it: at rest, or at
    /// [`CONFIRMING_LOOKS`] one after the other.
    pub(crate) difference: i64,
    /// The same at this look alone: who waits for a CPU may explain it.
    pub(crate) unconfirmed: i64,
    /// Of the difference, what calls explain that are asleep.
    pub(crate) in_flight: u64,
    /// Whether nothing moved meanwhile, and no call is asleep: there is no more to explain.
    pub(crate) is_exact: bool,
}

/// On a busy host a difference must be there at so many looks running: a thread that lost its CPU between
/// the kernel's count and ours is no difference, and may be met by chance more than once.
const CONFIRMING_LOOKS: usize = 5;

/// Looks again and again.
#[derive(Debug, Default)]
pub(crate) struct Reconciler {
    start: Option<Start>,
    /// Of what was found or released without having been known, as far as it was missed since
    /// the start and not pinned before it.
    missed: i64,
    known: i64,
    difference: i64,
    /// What each of the last looks found, the newest first.
    unconfirmed: [i64; CONFIRMING_LOOKS],
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
        self.missed += (known - self.known).clamp(0, (-self.unconfirmed[0]).max(0));
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
        let found = beyond + in_flight;
        self.unconfirmed.rotate_right(1);
        self.unconfirmed[0] = found;
        self.difference = if is_at_rest {
            found
        } else {
            self.unconfirmed.into_iter().fold(found, common)
        };
        Balance {
            preexisting: preexisting.cast_unsigned(),
            difference: self.difference,
            unconfirmed: found,
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
            for found in &mut self.unconfirmed {
                *found += more;
            }
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

/// What two differences have in common.
fn common(one: i64, other: i64) -> i64 {
    if one.signum() == other.signum() {
        one.signum() * one.abs().min(other.abs())
    } else {
        0
    }
}

/// What of a difference is more than the slack.
fn beyond(difference: i64, slack: u64) -> i64 {
    let rest = difference.unsigned_abs().saturating_sub(slack);
    i64::try_from(rest).unwrap_or(i64::MAX) * difference.signum()
}

#[cfg(test)]
mod tests;
