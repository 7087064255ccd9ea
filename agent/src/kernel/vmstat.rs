//! The kernel's own count of pins, for reconciliation.

use std::{fs, path::PathBuf, time::Duration};

use crate::error::AgentError;

const VMSTAT: &str = "/proc/vmstat";
/// Reading it folds every CPU's pending differences into the totals.
const REFRESH: &str = "/proc/sys/vm/stat_refresh";
/// Seconds after which a CPU hands its differences in.
const INTERVAL: &str = "/proc/sys/vm/stat_interval";
/// Nodes that have memory or CPUs, as a list of ranges.
const NODES_ONLINE: &str = "/sys/devices/system/node/online";

/// `nr_foll_pin_acquired` and `nr_foll_pin_released` (Linux 5.8): pages, ever
/// since boot, pins that the kernel rolled back included in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PinCounts {
    pub(crate) acquired: u64,
    pub(crate) released: u64,
}

impl PinCounts {
    /// Reads the totals of `/proc/vmstat`. Up to [`interval`] old on CPUs that are busy: see
    /// [`refresh`].
    pub(crate) fn read() -> Result<Self, AgentError> {
        let text = fs::read(VMSTAT).map_err(|source| AgentError::Read {
            path: PathBuf::from(VMSTAT),
            source,
        })?;
        parse(&text).ok_or_else(|| {
            AgentError::NotTraceable(format!("{VMSTAT} has no nr_foll_pin_acquired"))
        })
    }

    /// The same of one node's memory; `None` where the kernel does not say.
    pub(crate) fn of_node(node: usize) -> Option<Self> {
        parse(&fs::read(format!("/sys/devices/system/node/node{node}/vmstat")).ok()?)
    }

    /// Pages that are pinned now.
    pub(crate) fn outstanding(self) -> i64 {
        self.acquired.wrapping_sub(self.released).cast_signed()
    }

    /// The same before so many pins were acquired.
    pub(crate) fn before(self, acquired: u64) -> Self {
        Self {
            acquired: self.acquired.wrapping_sub(acquired),
            ..self
        }
    }

    /// Growth since `start`.
    pub(crate) fn since(self, start: Self) -> Self {
        Self {
            acquired: self.acquired.wrapping_sub(start.acquired),
            released: self.released.wrapping_sub(start.released),
        }
    }
}

/// Asks every CPU for its pending differences, which schedules work on each. Whether this
/// process has the right to.
pub(crate) fn refresh() -> bool {
    fs::read(REFRESH).is_ok()
}

/// How old the totals may be (`vm.stat_interval`).
pub(crate) fn interval() -> Duration {
    const USUAL: u64 = 1;
    let text = fs::read(INTERVAL).unwrap_or_default();
    let seconds = str::from_utf8(&text)
        .ok()
        .and_then(|it| it.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(USUAL))
}

/// Nodes by number; `None` where the kernel does not say.
pub(crate) fn online_nodes() -> Option<Vec<usize>> {
    ranges(&fs::read(NODES_ONLINE).ok()?)
}

/// No kernel has more nodes.
const MOST_NODES: usize = 1 << 12;

/// A list such as `0-1,3`.
fn ranges(text: &[u8]) -> Option<Vec<usize>> {
    let mut numbers: Vec<usize> = Vec::new();
    for range in str::from_utf8(text).ok()?.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if last >= MOST_NODES {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

fn parse(text: &[u8]) -> Option<PinCounts> {
    let value = |name: &str| {
        text.split(|it| *it == b'\n').find_map(|line| {
            let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b" ")?;
            str::from_utf8(rest).ok()?.parse().ok()
        })
    };
    Some(PinCounts {
        acquired: value("nr_foll_pin_acquired")?,
        released: value("nr_foll_pin_released")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_are_found_by_their_whole_names() {
        let text = b"nr_foll_pin_acquired_x 1\nnr_foll_pin_acquired 5\nnr_foll_pin_released 3\n";
        assert_eq!(
            parse(text),
            Some(PinCounts {
                acquired: 5,
                released: 3
            })
        );
        assert_eq!(parse(b"nr_foll_pin_acquired 5\n"), None);
    }

    #[test]
    fn nodes_are_listed_in_ranges() {
        assert_eq!(ranges(b"0\n"), Some(vec![0]));
        assert_eq!(ranges(b"0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(ranges(b"\n"), None);
    }

    #[test]
    fn fuzz_vmstat() {
        crate::fuzz::bytes(
            &[
                b"nr_foll_pin_acquired 7\nnr_foll_pin_released 5\n",
                b"0-1,3",
                b"0-18446744073709551615",
            ],
            |it| {
                let _ = parse(it);
                drop(ranges(it));
            },
        );
    }
}
