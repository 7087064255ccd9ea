//! Whether this kernel takes the CPU away from a task that runs in the kernel: a
//! probe may then be interrupted by another task, which runs into the same one.
//!
//! Who is in doubt takes it for one that does: probes are then attached in the way that costs more
//! and misses nothing.

use std::fs;

use super::trial;

/// Where a kernel that can choose (`CONFIG_PREEMPT_DYNAMIC`) shows root what it chose, in brackets
/// among what it could.
const CHOSEN: &str = "/sys/kernel/debug/sched/preempt";

/// The variable behind it (`kernel/sched/core.c`): none, voluntary, full, lazy, from 0.
pub(super) const MODE: &str = "preempt_dynamic_mode";
const FULL: u32 = 2;
const LAZY: u32 = 3;

/// `address`: of [`MODE`], where kallsyms shows it.
pub(super) fn preemptible(address: Option<u64>) -> bool {
    match built(&fs::read("/proc/sys/kernel/version").unwrap_or_default()) {
        Built::Never => false,
        Built::Always => true,
        Built::Chooses => chosen(address),
    }
}

fn chosen(address: Option<u64>) -> bool {
    if let Ok(text) = fs::read_to_string(CHOSEN) {
        return shows_preemption(&text);
    }
    let mode = address.and_then(|it| trial::read_kernel(it).ok());
    mode.is_none_or(is_preemption)
}

/// How a kernel is built, by `uname -v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Built {
    Never,
    Chooses,
    /// `PREEMPT`, `PREEMPT_RT`, `PREEMPT_LAZY`; or it does not say.
    Always,
}

fn built(version: &[u8]) -> Built {
    let mut words = version.split(u8::is_ascii_whitespace);
    match words.find(|it| it.starts_with(b"PREEMPT")) {
        Some(b"PREEMPT_DYNAMIC") => Built::Chooses,
        Some(_) => Built::Always,
        None if version.is_empty() => Built::Always,
        None => Built::Never,
    }
}

fn shows_preemption(text: &str) -> bool {
    text.contains("(full)") || text.contains("(lazy)")
}

/// What the kernel does not know yet (-1) is not known to us either.
fn is_preemption(mode: u32) -> bool {
    matches!(mode, FULL | LAZY | u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_counts() {
        assert!(shows_preemption("none voluntary (full) lazy\n"));
        assert!(shows_preemption("none voluntary full (lazy)\n"));
        assert!(!shows_preemption("none (voluntary) full\n"));
    }

    #[test]
    fn a_kernel_says_how_it_is_built() {
        for (version, how) in [
            ("#1 SMP Debian 5.10.1-1 (2026-01-01)", Built::Never),
            ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.1-1", Built::Chooses),
            ("#1 SMP PREEMPT_RT Debian 6.12.1-1", Built::Always),
            ("#1 SMP PREEMPT Thu Jan 1", Built::Always),
            ("", Built::Always),
        ] {
            assert_eq!(built(version.as_bytes()), how, "{version}");
        }
    }
}
