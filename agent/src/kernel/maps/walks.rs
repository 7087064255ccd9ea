//! How many walks are under way on the whole machine, mapped to be read.

use aya::maps::MapData;

use super::mapped::Mapped;
use crate::error::AgentError;

/// The count.
pub(crate) struct WalkCount(Mapped);

impl WalkCount {
    pub(crate) fn map(data: &MapData) -> Result<Self, AgentError> {
        Mapped::new(data, "WALKS_UNDER_WAY", size_of::<u64>()).map(Self)
    }

    /// Whether there are any.
    pub(crate) fn are_any(&self) -> bool {
        self.0.read(0) != 0
    }
}
