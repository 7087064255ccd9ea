//! The kernel's own count of pins, for reconciliation.

use std::{fs, path::PathBuf};

use crate::error::AgentError;

const VMSTAT: &str = "/proc/vmstat";
/// Reading it folds every CPU's pending differences into the totals.
const REFRESH: &str = "/proc/sys/vm/stat_refresh";

/// `nr_foll_pin_acquired` and `nr_foll_pin_released` (Linux 5.8): pages, ever
/// since boot, pins that the kernel undid itself included in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vmstat {
    pub(crate) acquired: u64,
    pub(crate) released: u64,
}

impl Vmstat {
    /// Reads the totals. Up to a second old on CPUs that are busy: see
    /// [`refresh`].
    pub(crate) fn read() -> Result<Self, AgentError> {
        let text = fs::read_to_string(VMSTAT).map_err(|source| AgentError::Read {
            path: PathBuf::from(VMSTAT),
            source,
        })?;
        parse(&text).ok_or_else(|| {
            AgentError::NotTraceable(format!("{VMSTAT} has no nr_foll_pin_acquired"))
        })
    }

    /// Pages that are pinned now.
    pub(crate) fn outstanding(self) -> u64 {
        self.acquired.saturating_sub(self.released)
    }

    /// Growth since `start`.
    pub(crate) fn since(self, start: Self) -> Self {
        Self {
            acquired: self.acquired.saturating_sub(start.acquired),
            released: self.released.saturating_sub(start.released),
        }
    }
}

/// Asks every CPU for its pending differences. Schedules work on each, so it is
/// done only when the books disagree.
pub(crate) fn refresh() {
    // Without the right to it the totals are a second old, which only delays
    // the agreement.
    let _ = fs::read(REFRESH);
}

fn parse(text: &str) -> Option<Vmstat> {
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    };
    Some(Vmstat {
        acquired: value("nr_foll_pin_acquired")?,
        released: value("nr_foll_pin_released")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_are_found_by_their_whole_names() {
        let text = "nr_foll_pin_acquired_x 1\nnr_foll_pin_acquired 5\nnr_foll_pin_released 3\n";
        assert_eq!(
            parse(text),
            Some(Vmstat {
                acquired: 5,
                released: 3
            })
        );
        assert_eq!(parse("nr_foll_pin_acquired 5\n"), None);
    }
}
