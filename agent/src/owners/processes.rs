//! The processes behind owners: whether they are alive, what they are called now, what
//! they are charged for, and in which cgroup they are.
//!
//! Asked of the kernel by a program, which sees every process. Where that is not to be
//! had, `/proc` is asked; what it does not show may be hidden, and is not known.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use probe_abi::{Owner, Process};
use serde::Serialize;
use verdicts::shown;

use super::names::{self, CgroupName};
use crate::kernel::{
    inspect::Inspector,
    process::{Stat, TICKS_A_SECOND},
    sys::page_bytes,
};

/// Processes that are asked after in a second, at most: the others have their turn later.
const AT_ONCE: usize = 256;

/// Inode of the initial namespace of process ids (`PROC_PID_INIT_INO`,
/// include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: u64 = 0xeffffffc;

/// A process for ever: ids come again, with another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    /// As the initial namespace counts.
    pub(crate) tgid: u32,
    /// When it began, nanoseconds since boot.
    pub(crate) start_ns: u64,
}

impl ProcessId {
    /// Of an owner.
    pub(crate) fn of(owner: &Owner) -> Self {
        Self {
            tgid: owner.tgid,
            start_ns: owner.start_ns,
        }
    }
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Life {
    Alive,
    /// It was told to end, and releases what it has.
    Exiting,
    Ended,
    /// Neither the kernel nor `/proc` shows it.
    Unknown,
}

/// What a process is charged for, and may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Accounts {
    /// `VmPin`: what drivers that count their pins say it has pinned, bytes.
    pub(crate) vm_pin_bytes: u64,
    /// `VmLck`: memory locked by `mlock()`, and by drivers that charge pins to
    /// it, bytes.
    pub(crate) vm_lck_bytes: u64,
    /// `RLIMIT_MEMLOCK`, bytes; absent where there is no limit.
    pub(crate) memlock_limit_bytes: Option<u64>,
    /// What its user is charged for by all processes, as by rings, bytes; absent where the kernel
    /// does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_charged_bytes: Option<u64>,
    /// Who made the user namespace that it is in, as the initial one counts: that user is charged,
    /// and held to the limit from outside. Absent in the initial one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_namespace_of: Option<u32>,
}

/// Where a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Id of its cgroup of the unified hierarchy.
    pub(crate) unified: u64,
    /// Where that is the root, its cgroup of version 1, if it has one.
    pub(crate) cgroup: CgroupName,
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessInfo {
    pub(crate) life: Life,
    /// Its name, as text that can be shown.
    pub(crate) comm: String,
    /// Absent once it has ended, or where it cannot be seen.
    pub(crate) accounts: Option<Accounts>,
    /// The cgroup that it was in when it was last asked after.
    pub(crate) cgroup: Option<Place>,
    /// Its id where the agent is, if that is another namespace's.
    pub(crate) pid_here: Option<u32>,
}

/// Those that are asked after.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    known: BTreeMap<ProcessId, ProcessInfo>,
    /// Who was asked after last.
    turn: Option<ProcessId>,
}

impl Processes {
    /// What is known of a process.
    pub(crate) fn get(&self, id: ProcessId) -> Option<&ProcessInfo> {
        self.known.get(&id)
    }

    /// Asks after these, as many as there is time for, and forgets all others. Each comes with
    /// the name that its owner's record has. Whether anything is different now.
    pub(crate) fn refresh(
        &mut self,
        wanted: &HashMap<ProcessId, String>,
        inspector: &Inspector,
    ) -> bool {
        self.known.retain(|id, _| wanted.contains_key(id));
        let mut is_changed = false;
        let is_new = |id: &&ProcessId| !self.known.contains_key(id);
        let mut turn: Vec<ProcessId> = wanted.keys().filter(is_new).copied().collect();
        turn.truncate(AT_ONCE);
        let mut others = self.after_turn();
        // Who has ended stays so.
        others.retain(|id| self.known.get(id).is_none_or(|it| it.life != Life::Ended));
        others.truncate(AT_ONCE - turn.len());
        self.turn = others.last().copied().or(self.turn);
        turn.extend(others);
        let ids: Vec<(u32, u64)> = turn.iter().map(|it| (it.tgid, it.start_ns)).collect();
        let seen = inspector.processes(&ids);
        for (number, id) in turn.into_iter().enumerate() {
            let fact = seen.as_ref().and_then(|it| it.get(number));
            let fact = fact.filter(|it| it.state != Process::UNKNOWN);
            let before = self.known.remove(&id);
            let comm = || wanted.get(&id).cloned().unwrap_or_default();
            let mut now = match fact {
                Some(fact) => of(fact, comm),
                None => from_proc(id, comm()),
            };
            now.cgroup = before.as_ref().and_then(|it| it.cgroup.clone());
            if matches!(now.life, Life::Alive | Life::Exiting) {
                let answer = inspector.cgroup_of(id.tgid, id.start_ns);
                let place = answer.map(|it| Place {
                    unified: it.unified,
                    cgroup: names::cgroup(&it),
                });
                now.cgroup = place.or(now.cgroup);
            }
            is_changed |= before.as_ref() != Some(&now);
            self.known.insert(id, now);
        }
        is_changed
    }

    /// Those that are known, from the one after the last that was asked after.
    fn after_turn(&self) -> Vec<ProcessId> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for id in self.known.keys() {
            if self.turn.is_some_and(|turn| *id <= turn) {
                before.push(*id);
            } else {
                after.push(*id);
            }
        }
        after.extend(before);
        after
    }
}

fn of(fact: &Process, comm: impl Fn() -> String) -> ProcessInfo {
    let life = match fact.state {
        Process::LIVES => Life::Alive,
        Process::EXITING => Life::Exiting,
        _ => Life::Ended,
    };
    let ended = life == Life::Ended;
    ProcessInfo {
        life,
        // Of one that is gone the last name is kept.
        comm: if ended || fact.comm[0] == 0 {
            comm()
        } else {
            shown(names::until_zero(&fact.comm))
        },
        accounts: (!ended).then(|| Accounts {
            vm_pin_bytes: fact.pinned_vm * page_bytes(),
            vm_lck_bytes: fact.locked_vm * page_bytes(),
            memlock_limit_bytes: (fact.memlock != u64::MAX).then_some(fact.memlock),
            user_charged_bytes: (fact.user_locked_vm != u64::MAX)
                .then(|| fact.user_locked_vm.saturating_mul(page_bytes())),
            user_namespace_of: (fact.user_level > 0).then_some(fact.user_ns_owner),
        }),
        cgroup: None,
        pid_here: Some(fact.pid_here).filter(|it| *it != 0 && *it != fact.tgid),
    }
}

/// What `/proc` has of it.
fn from_proc(id: ProcessId, comm: String) -> ProcessInfo {
    ProcessInfo {
        life: life_from_proc(id).unwrap_or(Life::Unknown),
        comm,
        accounts: None,
        cgroup: None,
        pid_here: None,
    }
}

/// `None` where what is not there may only be hidden.
fn life_from_proc(id: ProcessId) -> Option<Life> {
    if !shows_every_process() {
        return None;
    }
    match fs::read(format!("/proc/{}/stat", id.tgid)) {
        Ok(stat) => Some(if is_it(&stat, id.start_ns)? {
            Life::Alive
        } else {
            Life::Ended
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Life::Ended),
        Err(_) => None,
    }
}

/// Whether `/proc` here is the initial namespace's, and shows what is not this user's.
fn shows_every_process() -> bool {
    has_initial_ids() && Path::new("/proc/1/stat").exists()
}

/// Whether process ids in `/proc` here are the initial namespace's.
pub(crate) fn has_initial_ids() -> bool {
    let namespace = fs::metadata("/proc/self/ns/pid").map(|it| it.ino());
    namespace.is_ok_and(|it| it == INITIAL_PID_NAMESPACE)
}

/// Whether this is the line of a process that began then, and runs; `None` where it cannot be
/// understood.
fn is_it(stat: &[u8], start_ns: u64) -> Option<bool> {
    const TICK_NS: u64 = 1_000_000_000 / TICKS_A_SECOND;
    let stat = Stat::parse(stat)?;
    Some(!stat.has_ended() && stat.start_ticks == start_ns / TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &[u8], state: &str, threads: u32, ticks: u64) -> Vec<u8> {
        let mut stat = b"77 (".to_vec();
        stat.extend_from_slice(name);
        let rest = format!(
            ") {state} 1 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 {threads} 0 {ticks} 2 3\n"
        );
        stat.extend_from_slice(rest.as_bytes());
        stat
    }

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let stat = stat(b"a) b", "S", 1, 123);
        assert_eq!(is_it(&stat, 1_234_567_890), Some(true));
        assert_eq!(is_it(&stat, 1_244_567_890), Some(false));
    }

    #[test]
    fn a_name_that_is_no_text_is_no_death() {
        // The kernel cuts names at 15 bytes, in the middle of a character.
        let name = &"кириллица".as_bytes()[..15];
        assert_eq!(is_it(&stat(name, "S", 1, 123), 1_234_567_890), Some(true));
    }

    #[test]
    fn a_zombie_has_ended_unless_other_threads_of_it_run() {
        assert_eq!(is_it(&stat(b"a", "Z", 1, 123), 1_234_567_890), Some(false));
        assert_eq!(is_it(&stat(b"a", "Z", 2, 123), 1_234_567_890), Some(true));
    }

    #[test]
    fn what_cannot_be_understood_is_not_known() {
        assert_eq!(is_it(b"77 (a) S 1", 1), None);
        assert_eq!(is_it(b"", 1), None);
    }

    #[test]
    fn without_the_kernels_answer_nobody_is_taken_for_dead_who_may_be_hidden() {
        let mut processes = Processes::default();
        let nobody = ProcessId {
            tgid: u32::MAX,
            start_ns: 1,
        };
        let wanted = HashMap::from([(nobody, "x".to_owned())]);
        processes.refresh(&wanted, &Inspector::default());
        let life = processes.get(nobody).unwrap().life;
        let expected = if shows_every_process() {
            Life::Ended
        } else {
            Life::Unknown
        };
        assert_eq!(life, expected);
    }
}
