//! The limit on locked memory, to which kernels before Linux 5.11 charge eBPF maps
//! and programs.

use log::warn;

/// Lifts it for this process, or says what to do when the maps are refused.
pub(super) fn raise() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the kernel reads the structure, which outlives the call.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
    if failed != 0 && !unlimited() {
        warn!(
            "RLIMIT_MEMLOCK cannot be lifted, and this kernel may charge the maps to it: run as \
             root, or as a service with LimitMEMLOCK=infinity"
        );
    }
}

fn unlimited() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel fills the structure, which outlives the call.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    failed == 0 && limit.rlim_cur == libc::RLIM_INFINITY
}
