//! Calls that pin and may sleep, while they are under way, mapped to be read.

use aya::maps::MapData;
use probe_abi::{CALLS, Call};

use super::mapped::Mapped;
use crate::error::AgentError;

/// The table.
pub(crate) struct CallTable(Mapped);

impl CallTable {
    pub(crate) fn map(data: &MapData) -> Result<Self, AgentError> {
        Mapped::new(data, "CALLS", CALLS * size_of::<Call>()).map(Self)
    }

    /// Those under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = Call> {
        (0..CALLS).filter_map(|index| {
            let at = index * size_of::<Call>();
            (self.0.read(at) != 0).then(|| self.0.copy(at))
        })
    }
}
