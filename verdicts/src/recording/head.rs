//! How a recording begins, and how large its parts may be.

use probe_abi::ABI_VERSION;
use serde::{Deserialize, Serialize};

use crate::judge::Inputs;

/// How a recording begins; no text does.
pub const MAGIC: [u8; 8] = *b"\x89PINREC\n";

/// The version of the file's own form.
pub const FORMAT_VERSION: u32 = 1;

/// Samples in a full block: unpacked, they stay in a core's first cache.
pub(super) const BLOCK_SAMPLES: usize = 256;

/// No block is larger than this, whatever it claims.
pub(super) const MOST_BLOCK_BYTES: usize = 1 << 16;

pub(super) const PREAMBLE_BYTES: usize = 16;

// Samples are stored as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"));

/// What a replay has to know besides the samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `uname -r` of the kernel that sent the samples.
    pub kernel: String,
    /// Version of the agent that wrote the file.
    pub agent: String,
    /// Seconds since 1970 at the start.
    pub started_unix_seconds: u64,
    /// Bytes in a page of that kernel.
    pub page_bytes: u64,
    /// Folios that the ledger could hold.
    pub ledger_slots: u64,
    /// What the attached hooks could tell.
    pub inputs: Inputs,
    /// The hooks that were attached, and to what.
    pub hooks: Vec<Hook>,
}

/// One hook of the catalogue and what it was attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Name in the catalogue.
    pub name: String,
    /// Kernel function.
    pub symbol: String,
    /// How it was attached.
    pub method: String,
}

pub(super) fn preamble() -> [u8; PREAMBLE_BYTES] {
    let mut bytes = [0; PREAMBLE_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[12..].copy_from_slice(&ABI_VERSION.to_le_bytes());
    bytes
}
