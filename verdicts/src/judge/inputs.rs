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

/// What was lost since the agent started, as far as it touches verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Samples that never came: flags may be out of date.
    pub samples: u64,
    /// Pages that the ledger should hold and does not: lost, or pinned before the start.
    pub pages: u64,
}
