//! What `/proc` says of a process: whether it is still the one that pinned, and
//! the kernel's own two accounts of its memory.

use std::fs;

use serde::Serialize;

use crate::kernel::process::{Stat, TICKS_A_SECOND};

/// What a process is charged for, and may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Accounts {
    /// `VmPin`: what drivers that count their pins say it has pinned, bytes.
    pub(crate) vm_pin_bytes: u64,
    /// `VmLck`: memory locked by `mlock()`, and by drivers that charge pins to
    /// it, bytes.
    pub(crate) vm_lck_bytes: u64,
    /// `RLIMIT_MEMLOCK`, bytes; absent where there is no limit.
    pub(crate) memlock_limit_bytes: Option<u64>,
}

/// Whether process `tgid` runs and began `start_ns` after boot: ids come again.
pub(crate) fn lives(tgid: u32, start_ns: u64) -> bool {
    fs::read(format!("/proc/{tgid}/stat")).is_ok_and(|stat| is_it(&stat, start_ns))
}

fn is_it(stat: &[u8], start_ns: u64) -> bool {
    let start_ticks = start_ns / (1_000_000_000 / TICKS_A_SECOND);
    Stat::parse(stat).is_some_and(|it| !it.has_ended() && it.start_ticks == start_ticks)
}

/// The kernel's accounts of a live process.
pub(crate) fn accounts(tgid: u32) -> Option<Accounts> {
    let status = fs::read_to_string(format!("/proc/{tgid}/status")).ok()?;
    let limits = fs::read_to_string(format!("/proc/{tgid}/limits")).ok()?;
    Some(Accounts {
        vm_pin_bytes: kilobytes(&status, "VmPin:")?,
        vm_lck_bytes: kilobytes(&status, "VmLck:")?,
        memlock_limit_bytes: limits
            .lines()
            .find_map(|line| line.strip_prefix("Max locked memory"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
    })
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: &str, ticks: u64) -> Vec<u8> {
        format!("77 (a) b) {state} 1 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 {ticks} 2 3")
            .into_bytes()
    }

    #[test]
    fn a_process_is_known_by_when_it_began() {
        assert!(is_it(&stat("S", 123), 1_234_567_890));
        assert!(!is_it(&stat("S", 124), 1_234_567_890));
    }

    #[test]
    fn a_zombie_has_ended() {
        assert!(!is_it(&stat("Z", 123), 1_234_567_890));
    }

    #[test]
    fn the_accounts_of_this_process_can_be_read() {
        let accounts = accounts(std::process::id()).unwrap();
        assert_eq!(accounts.vm_pin_bytes, 0);
    }
}
