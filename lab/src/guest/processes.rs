//! Duties to children: wait for one, reap the others, end them all.
//! Leaves out starting them.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

/// Waits until `child` has ended and reaps whatever else ends meanwhile.
///
/// Nobody else in this process may wait for children: either would take the other's.
pub fn wait_for(child: u32) -> anyhow::Result<u8> {
    loop {
        let ended = wait(WaitOptions::empty()).context("cannot wait for the command")?;
        if let Some((pid, status)) = ended
            && pid.as_raw_nonzero().get().cast_unsigned() == child
        {
            return Ok(exit_code(status));
        }
    }
}

/// As a shell tells it: a signal counts as 128 and its number.
fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    u8::try_from(code).unwrap_or(255)
}

/// Kills every process but this one and the kernel's own threads.
pub fn kill_the_rest() {
    for pid in user_processes() {
        // One that has gone by itself meanwhile is as good as killed.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills every process of this one's cgroup but itself: what is elsewhere belongs to another service.
pub fn kill_the_rest_of_the_cgroup() {
    let Ok(cgroups) = fs::read_to_string("/proc/self/cgroup") else {
        return;
    };
    let Some(own) = cgroups.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return;
    };
    let list = PathBuf::from("/sys/fs/cgroup")
        .join(own)
        .join("cgroup.procs");
    let pids = fs::read_to_string(list).unwrap_or_default();
    let pids = pids.lines().filter_map(|line| line.parse().ok());
    for pid in pids.filter_map(Pid::from_raw) {
        if pid != getpid() {
            // One that has gone by itself meanwhile is as good as killed.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn user_processes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| *pid > 1)
        // A kernel thread has no executable to read.
        .filter(|pid| fs::read_link(PathBuf::from(format!("/proc/{pid}/exe"))).is_ok())
        .filter_map(Pid::from_raw)
        .collect()
}
