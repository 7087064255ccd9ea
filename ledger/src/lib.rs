//! The ledger's algorithm: how pins are entered, found and taken out again, by
//! folio and by owner.
//!
//! A folio has two buckets of slots, and in the first of them one slot that it
//! *prefers*. A slot counts the references of one owner on one folio, in one word
//! that is changed by compare-and-swap, so that a pin and a release are one atomic
//! step each, in any context. What `probe_abi::ledger` calls a word, a note and a
//! bucket is the layout; here is what is done with them.
//!
//! One word of the algorithm is worth knowing before all others: the **hint**. A
//! release nearly always looks at the preferred slot only. The hint on that slot
//! says that a folio which prefers it may have a slot elsewhere, and that the release
//! has to search. It belongs to the place and not to the folio that is in it: it
//! outlives every change of the word, until [`clear_hint`] finds that nobody needs it.
//!
//! [`nested`] is apart from the book: how two programs on one function know of each call which of
//! them has to deal with it.
//!
//! Pure: no clock, no memory of its own, no unsafe code. Where the words are, how one
//! is changed and who an owner is, a [`Table`] says: the probes in the kernel, or a
//! test. What is proved of it is what runs.

#![no_std]

#[cfg(test)]
extern crate std;

mod acquire;
mod add;
mod audit;
mod folio;
mod hint;
pub mod nested;
mod owner;
mod release;
mod room;
mod share;
mod table;

pub use acquire::{Acquire, Place, acquire_at_preferred};
pub use audit::{forget, mark_guess, write_off};
pub use folio::{Totals, close, note_zaps, totals};
pub use hint::{clear_hint, doubt_hint, raise_hint};
pub use owner::{Fit, Identity, Kinship, Releaser};
pub use release::{Attempt, Release, is_nowhere, release_at_preferred};
pub use room::{ROUNDS, Rank, keeps};
pub use share::Choice;
pub use table::{References, Table};
