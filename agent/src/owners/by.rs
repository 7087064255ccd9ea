//! By what pins are added up.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What the rows of a report stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// The process that pinned.
    Process,
    /// The user of that process, as the initial namespace counts: whose limit it is held to.
    User,
    /// The cgroup of that process.
    Cgroup,
    /// The memory cgroup that is charged for the memory, whoever pinned it.
    Memcg,
    /// The part of the kernel on whose behalf it is pinned.
    Subsystem,
    /// The file that the memory belongs to.
    File,
    /// The call path that pinned.
    Stack,
}

impl By {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Process,
        Self::User,
        Self::Cgroup,
        Self::Memcg,
        Self::Subsystem,
        Self::File,
        Self::Stack,
    ];
}
