//! Eight ways of knowing that a page is pinned, as step machines: no I/O, no clock, no unsafe code.
//!
//! A [`Machine`] asks for its next observation, is given it, and ends in a [`Verdict`]. Who answers is left out:
//! the model checker answers step by step from a modelled kernel, the agent and the replay answer through [`judge()`]
//! from one captured walk ([`Observations`]). What is proved is what runs.
//!
//! # Invariants
//!
//! - An observation that is unknown ends in [`Verdict::Uncertain`] wherever it could change the verdict.
//! - No input makes a machine panic, and every machine ends after at most [`MAX_STEPS`] answers.
//! - A machine's pin flag is its own: nothing of one estimator reaches another.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod ask;
mod catalogue;
mod compare;
mod flag;
mod judge;
mod machine;
mod observations;
mod rules;
mod scoreboard;
pub mod trace;
mod transition;
mod verdict;

pub use ask::{Answer, Ask};
pub use catalogue::Estimator;
pub use compare::{AsWritten, Compare, Relation, Site};
pub use flag::{Flag, Flags};
pub use judge::{Judgement, Step, Steps, judge, judge_all};
pub use machine::{MAX_STEPS, Machine, Next};
pub use observations::{Observations, Pincount};
pub use scoreboard::{Scoreboard, Tally, Truth};
pub use verdict::{Doubt, Missing, Outcome, Seen, Verdict};
