//! The bytes that cross a boundary: kernel to user space, recording to replay.
//!
//! Plain old data only: `no_std`, sizes asserted, no padding, no `bool`, no
//! `enum`. What the numbers mean for a verdict is decided elsewhere.

#![no_std]

#[cfg(test)]
extern crate std;

mod counters;
mod layout;
mod ledger;
mod sample;

pub use counters::{CpuCounters, Lost, WALK_KINDS, WalkKind};
pub use layout::{ABSENT, Layout};
pub use ledger::{
    BUCKET_SLOTS, Bucket, Kind, SlotNote, Word, bucket_of, folio_key, second_bucket_of,
};
pub use sample::{MkcleanSample, SampleFlags};

/// Changes whenever a type of this crate changes its bytes or their meaning.
pub const ABI_VERSION: u32 = 1;
