//! The walk in slices, and what is looked at again: a folio counts when two looks at it agree.

use std::{
    collections::HashMap,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use probe_abi::Counted;

use crate::{
    error::AgentError,
    kernel::census::{Slice, Walker},
};

/// How long the kernel side has a CPU at once: it looks at the clock after each block of pages.
const SLICE: Duration = Duration::from_micros(500);

/// Looks at a folio, the first included.
const LOOKS: u32 = 5;

/// Slices in a row that may come to nothing.
const ATTEMPTS: u32 = 1000;

/// What the walk came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    pub(super) pages: u64,
    pub(super) absent: u64,
    pub(super) slices: u64,
    /// The longest time that the kernel side had a CPU at once.
    pub(super) longest: Duration,
    /// Time that the slices took together, and the whole walk.
    pub(super) busy: Duration,
    pub(super) took: Duration,
    /// Folios whose last two looks did not agree.
    pub(super) unsettled: u64,
    /// Folios whose pins cannot be told.
    pub(super) untold: u64,
}

/// A folio that is pinned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinned {
    pub(super) counted: Counted,
    pub(super) pins: u64,
}

impl Pinned {
    /// What two looks have to agree on.
    fn shape(&self) -> (u64, u32, u64) {
        (self.counted.pfn, self.counted.folio.pages, self.pins)
    }
}

/// Takes slices.
pub(super) struct Walk<'a> {
    walker: &'a Walker,
    /// Percent of a CPU.
    share: u32,
    walked: Walked,
}

impl<'a> Walk<'a> {
    pub(super) fn new(walker: &'a Walker, share: u32) -> Self {
        Self {
            walker,
            share,
            walked: Walked::default(),
        }
    }

    /// Walks over all ranges, and gives out what is pinned in the order of its frames. Tells how
    /// many pages are done.
    pub(super) fn over(
        mut self,
        ranges: &[Range<u64>],
        give: &mut dyn FnMut(&Pinned),
        tell: &mut dyn FnMut(u64),
    ) -> Result<Walked, AgentError> {
        let began = Instant::now();
        let mut done = 0;
        for range in ranges {
            let mut rest = range.clone();
            while rest.start < rest.end {
                let is_first = rest.start == range.start;
                let (pinned, next) = self.slice(rest.clone(), is_first, true)?;
                let pinned = match pinned.is_empty() {
                    true => pinned,
                    false => self.settle(pinned, rest.start..next, is_first)?,
                };
                pinned.iter().for_each(&mut *give);
                rest.start = next;
                tell(done + (next.min(range.end) - range.start));
            }
            done += range.end - range.start;
        }
        self.walked.took = began.elapsed();
        Ok(self.walked)
    }

    /// Looks again until two looks agree, at all that was found.
    fn settle(
        &mut self,
        mut seen: Vec<Pinned>,
        range: Range<u64>,
        is_first: bool,
    ) -> Result<Vec<Pinned>, AgentError> {
        let mut differ = 0;
        for _again in 1..LOOKS {
            let mut now = Vec::new();
            let (mut next, mut first) = (range.start, is_first);
            while next < range.end {
                let (more, behind) = self.slice(next..range.end, first, false)?;
                now.extend(more);
                (next, first) = (behind, false);
            }
            differ = differing(&seen, &now);
            seen = now;
            if differ == 0 {
                break;
            }
        }
        self.walked.unsettled += differ;
        Ok(seen)
    }

    /// A slice that gets on: one whose CPU was taken away at its beginning, as a guest's is, has
    /// come to nothing when its time is over.
    fn advance(&self, range: &Range<u64>, is_first: bool) -> Result<Slice, AgentError> {
        for _again in 0..ATTEMPTS {
            let slice = self.walker.slice(range.clone(), is_first, SLICE)?;
            if slice.next > range.start {
                return Ok(slice);
            }
        }
        Err(AgentError::Unfit {
            why: Some(format!(
                "the walk does not get beyond frame {}; this CPU is taken away again and again",
                range.start
            )),
        })
    }

    /// What is pinned in a slice, and where to go on.
    fn slice(
        &mut self,
        range: Range<u64>,
        is_first: bool,
        counts: bool,
    ) -> Result<(Vec<Pinned>, u64), AgentError> {
        let slice = self.advance(&range, is_first)?;
        let walked = &mut self.walked;
        walked.slices += 1;
        walked.busy += slice.took;
        walked.longest = walked.longest.max(slice.held);
        if counts {
            walked.pages += slice.looked_at;
            walked.absent += slice.absent;
        }
        let mut pinned = Vec::new();
        for counted in slice.counted {
            match self.walker.pins(&counted) {
                Some(0) => {}
                Some(pins) => pinned.push(Pinned { counted, pins }),
                None if counts => walked.untold += 1,
                None => {}
            }
        }
        // The rest of the time that this one's share is of.
        let rest = slice.took * (100 - self.share) / self.share;
        if !rest.is_zero() {
            thread::sleep(rest);
        }
        Ok((pinned, slice.next))
    }
}

/// How many folios are not the same in both.
fn differing(before: &[Pinned], now: &[Pinned]) -> u64 {
    let mut left: HashMap<u64, (u64, u32, u64)> = before
        .iter()
        .map(|it| (it.counted.pfn, it.shape()))
        .collect();
    let other = |it: &&Pinned| left.remove(&it.counted.pfn) != Some(it.shape());
    let changed = now.iter().filter(other).count();
    (changed + left.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(pfn: u64, pins: u64) -> Pinned {
        let counted = Counted {
            pfn,
            ..Counted::default()
        };
        Pinned { counted, pins }
    }

    #[test]
    fn what_came_what_went_and_what_changed_differs() {
        let before = [pinned(1, 1), pinned(2, 1), pinned(3, 1)];
        let now = [pinned(1, 1), pinned(2, 2), pinned(4, 1)];
        assert_eq!(differing(&before, &now), 3);
        assert_eq!(differing(&before, &before), 0);
        assert_eq!(differing(&[], &now), 3);
    }
}
