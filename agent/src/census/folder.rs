//! The folder of `/proc` that shows what a process has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::kernel::process::Stat;

/// The folder of a process, or the one of a thread of it, where the first thread has ended and others go on:
/// what has ended shows neither memory nor files.
pub(super) fn of(pid: u32) -> PathBuf {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !has_ended(&process) {
        return process;
    }
    let threads = fs::read_dir(process.join("task"));
    let mut threads = threads.into_iter().flatten().flatten().map(|it| it.path());
    threads.find(|it| !has_ended(it)).unwrap_or(process)
}

fn has_ended(task: &Path) -> bool {
    let stat = fs::read(task.join("stat")).ok();
    stat.and_then(|it| Stat::parse(&it))
        .is_some_and(|it| b"XZ".contains(&it.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_has_a_folder_of_its_own() {
        let own = std::process::id();
        assert_eq!(of(own), PathBuf::from(format!("/proc/{own}")));
        assert!(!has_ended(Path::new("/proc/0")), "not known");
    }
}
