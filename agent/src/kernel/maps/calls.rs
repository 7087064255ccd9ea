//! Calls that pin and may sleep, while they are under way, mapped.

use std::{mem::offset_of, sync::atomic::Ordering};

use aya::maps::MapData;
use probe_abi::{CALLS, Call};

use super::mapped::Shared;
use crate::error::AgentError;

/// The table.
pub(crate) struct CallTable(Shared);

impl CallTable {
    pub(crate) fn map(data: &MapData) -> Result<Self, AgentError> {
        Shared::new(data, "CALLS", CALLS * size_of::<Call>()).map(Self)
    }

    /// One that no kernel has.
    #[cfg(test)]
    pub(crate) fn with(calls: &[Call]) -> Self {
        let table = Shared::anonymous(CALLS * size_of::<Call>());
        for (place, call) in calls.iter().enumerate() {
            table.write(place * size_of::<Call>(), call);
        }
        Self(table)
    }

    /// Goes through those under way, and forgets those that are not to be kept. Only the end of a call, and
    /// a new one of the same thread, change an entry beside us.
    pub(crate) fn retain(&self, mut is_kept: impl FnMut(&Call) -> bool) {
        const THREAD: usize = offset_of!(Call, thread);
        for at in (0..CALLS).map(|it| it * size_of::<Call>()) {
            let thread = self.0.word(at + THREAD);
            if thread.load(Ordering::Acquire) == 0 {
                continue;
            }
            let call: Call = self.0.copy(at);
            if !is_kept(&call) {
                let (was, none) = (call.thread, 0);
                let _is_another =
                    thread.compare_exchange(was, none, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }
}
