//! When something was last done on this machine: what the agent says of it has to be younger. It
//! waits for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Something was done up to now: a workload came to its next phase, or ended.
pub(crate) fn has_passed() {
    LAST.store(now(), Ordering::Relaxed);
}

/// Whether what was read from `taken` on, seconds since 1970, shows all that was done.
pub(crate) fn is_shown_by(taken: f64) -> bool {
    taken > LAST.load(Ordering::Relaxed) as f64 / 1e9
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |it| it.as_nanos() as u64)
}
