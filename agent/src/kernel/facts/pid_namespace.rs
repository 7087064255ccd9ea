//! Whether detaching trampolines may hang for ever: before Linux 6.9 (commit 1612160b9127), where
//! the agent ends because its pid namespace does. Its end waits for all tasks to pass a quiet
//! point, the first of the namespace does not pass one before the agent has ended.

use std::fs;

/// The lock by which such kernels keep tasks that exit from being waited for.
pub(super) const LOCK: &str = "tasks_rcu_exit_srcu";

/// The namespace that the host's processes are in (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL: &str = "pid:[4026531836]";

/// Why there are to be no trampolines, if that is so. `has_lock`: whether the kernel has [`LOCK`].
pub(super) fn obstacle(has_lock: bool) -> Option<String> {
    // Who is in doubt takes kprobes.
    let is_initial = fs::read_link("/proc/self/ns/pid").is_ok_and(|it| it.as_os_str() == INITIAL);
    (has_lock && !is_initial).then(|| {
        "the agent runs in a pid namespace of its own, and on this kernel detaching fentry may \
         then never end (mended in Linux 6.9); give it the host's (`--pid=host`, `hostPID: true`)"
            .to_owned()
    })
}
