//! The bytes that cross a boundary: kernel to user space, recording to replay.
//!
//! Plain old data only: `no_std`, sizes asserted, no padding, no `bool`, no
//! `enum`. What the numbers mean for a verdict is decided elsewhere.

#![no_std]

#[cfg(test)]
extern crate std;

mod cast;
mod census;
mod counters;
mod functions;
mod layout;
mod ledger;
mod owner;
mod placeholder;
mod query;
mod sample;
mod settings;
mod strata;

pub use cast::{CAST_CALL, CAST_CALL_CODE};
pub use census::{CENSUS_BLOCK, CENSUS_FOUND, CENSUS_SECTIONS, Census, Counted};
pub use counters::{CpuCounters, Lost, NESTED_CALLS, NestedCalls, WALK_KINDS, WalkKind};
pub use functions::{GUP_FUNCTIONS, INTERRUPTED, place};
pub use layout::{ABSENT, Layout};
pub use ledger::{
    BUCKET_SLOTS, Bucket, Kind, NOBODY, NoteFlags, SlotNote, Word, bucket_of, folio_key, hash_of,
    ledger_shift, opened_at, page_high, preferred_slot_of, second_hash_of,
};
pub use owner::{
    CALL_FRAMES, HOLD_BUCKETS, OWNER_PLACES, Owner, OwnerTag, PREEXISTING, hold_bucket, mix,
    owner_slot,
};
pub use placeholder::{CONSTANT, MEMBER, filled};
pub use query::{
    AMENDMENTS_AT_ONCE, Amendment, Answer, CALLS, Call, FOLIOS_AT_ONCE, Folio, NAME_BYTES, Node,
    PATH_DEPTH, PROCESSES_AT_ONCE, Process, Query,
};
pub use sample::{MkcleanSample, SampleFlags};
pub use settings::Settings;
pub use strata::{STRATA, stratum};

/// Changes whenever a type that a recording holds changes its bytes or their meaning.
pub const ABI_VERSION: u32 = 1;
