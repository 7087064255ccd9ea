//! The switch by which root disarms all kprobes of the host. Who is not shown debugfs does not see it.

use std::fs;

/// What is to be done about it.
pub(crate) const OFF: &str =
    "kprobes are switched off; `echo 1 > /sys/kernel/debug/kprobes/enabled` arms them";

/// Whether they are known to be off.
pub(crate) fn are_off() -> bool {
    fs::read("/sys/kernel/debug/kprobes/enabled").is_ok_and(|it| it.trim_ascii() == b"0")
}
