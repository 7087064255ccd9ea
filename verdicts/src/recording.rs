//! A recording: what the kernel sent, in the order in
//! which it was judged. No verdicts: a replay judges anew.
//!
//! Numbers are little-endian.
//!
//! | part | bytes |
//! | --- | --- |
//! | preamble | [`MAGIC`], format version `u32`, ABI version `u32` |
//! | block, repeated | kind `u32`, stored bytes `u32`, raw bytes `u32`, CRC-32 of these three and of what is stored `u32`, then the stored bytes: one LZ4 block |
//!
//! | kind | raw bytes |
//! | --- | --- |
//! | 1, first and once | [`Head`] as JSON |
//! | 2 | samples: how many `u32`, a bit for each byte of a sample that is not the same in all `u128`, the first sample; then for each of those bytes that of every further sample, XORed with that of the one before |
//! | 3 | [`Losses`](crate::judge::Losses) so far: samples `u64`, pages `u64` |
//! | 4, last and once | samples in the file, `u64` |
//!
//! A file without its last block was cut off; what came before is whole.

mod block;
mod head;
mod read;
mod write;

pub use head::{FORMAT_VERSION, Head, Hook, MAGIC};
pub use read::{Chunk, Damage, Fault, Reader};
pub use write::Writer;

#[cfg(test)]
mod tests;
