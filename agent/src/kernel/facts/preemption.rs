//! Whether this kernel takes the CPU away from a task that runs in the kernel: a
//! probe may then be interrupted by another task, which runs into the same one.

use std::fs;

/// Where a kernel that can choose (`CONFIG_PREEMPT_DYNAMIC`) shows what it chose,
/// in brackets among what it could.
const CHOSEN: &str = "/sys/kernel/debug/sched/preempt";

/// The enumerator of kernels that can preempt lazily (Linux 6.13), and that do
/// so unless they are told otherwise.
pub(super) const LAZY: &str = "preempt_dynamic_lazy";

/// As the kernel says; where this process may not ask, what such kernels do.
pub(super) fn preemptible(can_be_lazy: bool) -> bool {
    match fs::read_to_string(CHOSEN) {
        Ok(text) => chosen(&text),
        Err(_) => can_be_lazy,
    }
}

fn chosen(text: &str) -> bool {
    text.contains("(full)") || text.contains("(lazy)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_counts() {
        assert!(chosen("none voluntary (full) lazy\n"));
        assert!(chosen("none voluntary full (lazy)\n"));
        assert!(!chosen("none (voluntary) full\n"));
    }
}
