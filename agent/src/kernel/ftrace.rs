//! `kernel.ftrace_enabled`, by which an operator switches function tracing off for the whole host
//! (a usual setting for real time). Trampolines hang on it, and so do kprobes at a function's
//! entry where they are ftrace's.
//!
//! While it is off, what is attached sees nothing, and what is detached leaves its mark on the
//! function: the kernel finds it when the last tracer after that is taken away, warns in
//! `ftrace_shutdown` and gives function tracing up until the next boot, for everybody. So nothing
//! is attached or detached while it is off.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use log::{info, warn};
use sd_notify::NotifyState;

const SWITCH: &str = "/proc/sys/kernel/ftrace_enabled";

/// Between two looks at the switch, and between two complaints.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(10);

/// Whether kprobes are ftrace's, too (`CONFIG_KPROBES_ON_FTRACE`): on arm64 they are not.
pub(crate) const HAS_KPROBES: bool = cfg!(target_arch = "x86_64");

/// What is to be done about it.
pub(crate) const OFF: &str = "kernel.ftrace_enabled is 0, and no probe runs while it is; \
                              `sysctl kernel.ftrace_enabled=1` switches function tracing on";

/// Whether it is known to be off. A kernel without the switch has no function tracing to switch.
pub(crate) fn is_off() -> bool {
    fs::read(SWITCH).is_ok_and(|it| it.trim_ascii() == b"0")
}

/// While this lives, it is on, and to detach is safe.
#[must_use = "it is on only while this lives"]
pub(crate) struct On {
    was_off: bool,
}

/// Sees to it that function tracing is on: switches it on for a moment, or waits until somebody
/// does, which may be for ever.
pub(crate) fn on() -> On {
    if !is_off() {
        return On { was_off: false };
    }
    if fs::write(SWITCH, "1").is_ok() {
        info!(
            "kernel.ftrace_enabled was 0: it is 1 while the probes are detached, which is not safe otherwise"
        );
        return On { was_off: true };
    }
    let mut complain = Instant::now();
    while is_off() {
        if Instant::now() >= complain {
            warn!(
                "not detached yet: kernel.ftrace_enabled is 0, and detaching now would end function \
                 tracing on this host until it boots again; `sysctl kernel.ftrace_enabled=1` as root \
                 lets the agent end, another signal ends it at once"
            );
            complain += BETWEEN_COMPLAINTS;
        }
        // A service manager is not to kill what waits for a good reason.
        let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(
            2 * BETWEEN_COMPLAINTS.as_micros() as u32,
        )]);
        thread::sleep(BETWEEN_LOOKS);
    }
    On { was_off: false }
}

impl Drop for On {
    fn drop(&mut self) {
        if self.was_off
            && let Err(error) = fs::write(SWITCH, "0")
        {
            warn!("kernel.ftrace_enabled stays 1, and was 0: {error}");
        }
    }
}
