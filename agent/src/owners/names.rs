//! Names that come from the kernel as bytes, and cgroups and files by name.

use probe_abi::Answer;
use serde::Serialize;
use verdicts::shown;

/// A cgroup, by the id of its directory: in its hierarchy, each of which counts for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct CgroupName {
    /// 0 for the unified hierarchy; others are of version 1. `None` where that is not known.
    pub(crate) hierarchy: Option<u32>,
    pub(crate) id: u64,
    /// Path below the root of its hierarchy, as text that can be shown.
    pub(crate) path: String,
}

/// Of an answer about a cgroup.
pub(crate) fn cgroup(answer: &Answer) -> CgroupName {
    CgroupName {
        hierarchy: u32::try_from(answer.hierarchy).ok(),
        id: answer.cgroup,
        path: path(answer),
    }
}

impl CgroupName {
    /// Whether it is of the unified hierarchy, whose ids the probes and directories have.
    pub(crate) fn is_unified(&self) -> bool {
        self.hierarchy == Some(0)
    }
}

/// The names of an answer from the root on, which begins with `/`.
pub(super) fn path(answer: &Answer) -> String {
    let depth = (answer.depth as usize).min(answer.names.len());
    let names = answer.names[..depth].iter().rev().map(|it| until_zero(it));
    let mut path = Vec::new();
    for name in names.filter(|it| !it.is_empty() && *it != b"/") {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    shown(&path)
}

/// What comes before the zero that the kernel ends a name with.
pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    &bytes[..end]
}
