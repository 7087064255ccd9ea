//! Calls under way that pin and sleep: their pins are in the kernel's count already, and in the
//! ledger when they return.

use std::{cell::LazyCell, collections::HashSet, time::Duration};

use serde::Serialize;

use crate::{
    kernel::{maps::CallTable, sys},
    owners::{
        directory::Directory,
        processes::{ProcessId, has_initial_ids},
    },
};

/// Most calls are over by then. Of those that are not, some threads may have ended without a return that
/// was seen.
const LONG: Duration = Duration::from_secs(3);

/// Those that are named, oldest first.
const NAMED: usize = 8;

/// Calls under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) count: u64,
    /// Pages that they were asked for.
    pub(crate) pages: u64,
    /// The oldest of them.
    pub(crate) oldest: Vec<CallUnderWay>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CallUnderWay {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) comm: String,
    /// Pages that it was asked for.
    pub(crate) pages: u64,
    /// When it began, nanoseconds since boot.
    pub(crate) since_ns: u64,
    #[serde(skip)]
    pub(crate) process: ProcessId,
}

impl Calls {
    /// As they are now, without names. Those of threads that are gone are forgotten.
    pub(crate) fn read(table: &CallTable) -> Self {
        let ids_are_ours = LazyCell::new(has_initial_ids);
        Self::of(table, |pid, tid| *ids_are_ours && sys::is_gone(pid, tid))
    }

    fn of(table: &CallTable, is_gone: impl Fn(u32, u32) -> bool) -> Self {
        let mut calls = Self::default();
        let long_ago = sys::since_boot().saturating_sub(LONG).as_nanos() as u64;
        table.retain(|call| {
            let (pid, tid) = ((call.thread >> 32) as u32, call.thread as u32);
            if call.since_ns < long_ago && is_gone(pid, tid) {
                return false;
            }
            calls.count += 1;
            calls.pages += call.pages;
            calls.oldest.push(CallUnderWay {
                pid,
                tid,
                comm: String::new(),
                pages: call.pages,
                since_ns: call.since_ns,
                process: ProcessId {
                    tgid: pid,
                    start_ns: call.start_ns,
                },
            });
            true
        });
        calls.oldest.sort_by_key(|it| (it.since_ns, it.tid));
        calls.oldest.truncate(NAMED);
        calls
    }

    /// Whose they are.
    pub(crate) fn callers(&self) -> HashSet<ProcessId> {
        self.oldest.iter().map(|it| it.process).collect()
    }

    /// Names them, as far as they have names.
    pub(crate) fn name(&mut self, directory: &Directory) {
        for call in &mut self.oldest {
            if let Some(process) = directory.process(call.process) {
                call.comm.clone_from(&process.comm);
            }
        }
    }

    /// For how long the oldest has been under way.
    pub(crate) fn oldest_age(&self, now: Duration) -> Duration {
        let since = self.oldest.first().map(|it| it.since_ns);
        since.map_or(Duration::ZERO, |it| {
            now.saturating_sub(Duration::from_nanos(it))
        })
    }
}

#[cfg(test)]
mod tests {
    use probe_abi::Call;

    use super::*;

    #[test]
    fn a_call_of_a_thread_that_is_gone_is_forgotten_after_a_moment() {
        const GONE: u32 = 7;
        let now = sys::since_boot().as_nanos() as u64;
        let call = |pid: u64, tid: u32, since_ns| Call {
            thread: pid << 32 | u64::from(tid),
            since_ns,
            pages: 2,
            start_ns: 5,
        };
        let calls = [call(3, 4, 1), call(3, GONE, 1), call(3, GONE, now)];
        let table = CallTable::with(&calls);
        for _again in 0..2 {
            let left = Calls::of(&table, |pid, tid| (pid, tid) == (3, GONE));
            assert_eq!((left.count, left.pages), (2, 4));
            let left = left.oldest.iter().map(|it| (it.tid, it.since_ns));
            assert_eq!(left.collect::<Vec<_>>(), [(4, 1), (GONE, now)]);
        }
        let all = Calls::of(&table, |_, _| false);
        assert_eq!(all.count, 2, "the table has no more");
    }
}
