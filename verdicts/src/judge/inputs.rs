//! What the judge is told besides samples: what the hooks can see, and what was lost.

use serde::{Deserialize, Serialize};

/// Which inputs the attached hooks can give; what they cannot is unknown,
/// whatever a sample says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The entries that a walk finds are counted.
    pub ptes: bool,
    /// Mapcount decrements by zaps are counted.
    pub zaps: bool,
}

/// What was lost, as far as it touches verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Samples that never came since the agent started: flags may be out of date.
    pub samples: u64,
    /// Grows whenever walks may have gone unseen until then, because their hooks were off.
    pub pauses: u32,
    /// Pages that the ledger lacks just now, or may lack: of which pins were lost that nothing
    /// has accounted for since, and those that were pinned before the start.
    pub pages: u64,
    /// Until when that was, see [`probe_abi::opened_at`]; 0 where it is not known.
    pub at: u32,
}
