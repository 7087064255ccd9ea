//! What the probes would have captured of a trace: events in, one sample out at every verdict.
//!
//! A walk is captured as it is live: counts at entry and exit, GUPs when they return, zaps by their mapcount decrement.
//! So an estimator that is shown the sample knows less than the one in the trace did: [`crate::judge()`] of the sample
//! gives the verdict of the trace, or doubts.

use super::event::{Event, GupStep, Page, Pin, ZapStep};
use crate::{Observations, Pincount};

/// A page under observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    pin: Pin,
    mapcount: u32,
    /// Mappings whose reference is not dropped.
    mapped_references: u32,
    /// References taken by GUPs, complete or not.
    taken: u32,
    /// GUPs that returned, less releases.
    pins: u32,
    guped_since: bool,
    walk: Option<Walk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walk {
    mapcount_entry: u32,
    pins_entry: u32,
    gups: u32,
    found: Option<u32>,
    zaps_in_walk: u32,
    zaps_after_walk: u32,
}

impl Capture {
    /// Begins with the page of [`Event::Page`].
    #[must_use]
    pub fn new(page: Page) -> Self {
        let mapcount = u32::from(page.shared) + u32::from(page.private);
        let pins = u32::from(page.pins);
        Self {
            pin: page.pin,
            mapcount,
            mapped_references: mapcount,
            taken: pins,
            pins,
            guped_since: false,
            walk: None,
        }
    }

    /// Takes note of an event. A sample comes with [`Event::Says`], the exit of mkclean.
    pub fn see(&mut self, event: Event) -> Option<Observations> {
        match event {
            Event::Page(page) => *self = Self::new(page),
            Event::Enter
            | Event::ReadFlag(_)
            | Event::TakeFlag(_)
            | Event::PutFlag(_)
            | Event::Read(..)
            | Event::Pass(..) => {
                self.walk();
            }
            Event::EndWalk(found) => {
                // A second walk is the estimator's own: no kernel makes it.
                self.walk().found.get_or_insert(found);
            }
            Event::Says(_) => return Some(self.leave()),
            Event::Zap(_, step) => self.zap(step),
            Event::Gup(_, step) => self.gup(step),
            Event::Put => {
                self.pins = self.pins.saturating_sub(1);
                self.taken = self.taken.saturating_sub(1);
            }
        }
        None
    }

    fn walk(&mut self) -> &mut Walk {
        let entering = Walk {
            mapcount_entry: self.mapcount,
            pins_entry: self.pins,
            gups: 0,
            found: None,
            zaps_in_walk: 0,
            zaps_after_walk: 0,
        };
        self.walk.get_or_insert(entering)
    }

    fn zap(&mut self, step: ZapStep) {
        match step {
            ZapStep::Decrement => {
                self.mapcount = self.mapcount.saturating_sub(1);
                match &mut self.walk {
                    Some(walk @ Walk { found: None, .. }) => walk.zaps_in_walk += 1,
                    Some(walk) => walk.zaps_after_walk += 1,
                    None => {}
                }
            }
            ZapStep::Drop => self.mapped_references = self.mapped_references.saturating_sub(1),
            ZapStep::Clear | ZapStep::Mark(_) | ZapStep::Free => {}
        }
    }

    fn gup(&mut self, step: GupStep) {
        match step {
            GupStep::FastTake | GupStep::SlowTake => self.taken += 1,
            GupStep::FastBackOff => self.taken = self.taken.saturating_sub(1),
            GupStep::FastRead | GupStep::FastKeep | GupStep::FlagEarly => {}
            GupStep::Complete | GupStep::Return => {
                self.pins += 1;
                match &mut self.walk {
                    Some(walk) => walk.gups += 1,
                    None => self.guped_since = true,
                }
            }
        }
    }

    fn leave(&mut self) -> Observations {
        let walk = *self.walk();
        let references = self.mapped_references + 2 + self.taken * self.pin.weight();
        let seen = Observations {
            mapcount_entry: Ok(walk.mapcount_entry),
            pins_entry: Ok(walk.pins_entry),
            guped_since: Ok(self.guped_since),
            gups_in_walk: Ok(walk.gups),
            found: walk.found.ok_or(crate::Missing::NotCaptured),
            zaps_in_walk: Ok(walk.zaps_in_walk),
            zaps_after_walk: Ok(walk.zaps_after_walk),
            mapcount_exit: Ok(self.mapcount),
            pins_exit: Ok(self.pins),
            refcount: Ok(references.cast_signed()),
            pincount: Ok(match self.pin {
                Pin::Bias | Pin::Get => Pincount::Absent,
                Pin::Count => Pincount::Exact(self.taken.cast_signed()),
            }),
            nr_pages: Ok(1),
            private_refs: Ok(0),
            caller_refs: Ok(1),
            lost: false,
        };
        self.walk = None;
        self.guped_since = false;
        seen
    }
}
