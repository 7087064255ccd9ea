//! Whether writeback's hooks have anything to judge: a folio of a file that writeback cleans, which
//! is pinned, or was not long ago.
//!
//! What walks do not see meanwhile is no verdict. Of a folio that was GUPed before they were seen
//! again, the first verdict is uncertain where it depends on the walks before.

use std::{collections::HashMap, time::Duration};

use foldhash::fast::RandomState;

use super::holdings::FileUse;
use crate::owners::files::Memory;

/// File systems whose memory writeback does not clean: their `s_bdi` has no `BDI_CAP_WRITEBACK`.
const NEVER_WRITTEN_BACK: [&str; 8] = [
    "tmpfs",
    "ramfs",
    "hugetlbfs",
    "devtmpfs",
    "anon_inodefs",
    "secretmem",
    "dmabuf",
    "guest_memfd",
];

/// When the hooks that serve verdicts alone are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WritebackHooks {
    /// While a folio is pinned of a file that writeback cleans, and a calm time longer
    #[default]
    Auto,
    /// From start to end: every walk is seen
    Always,
    /// For the self-test at the start only: no walk is judged
    Never,
}

/// Decides at each tick.
#[derive(Debug)]
pub(crate) struct Arming {
    mode: WritebackHooks,
    /// How long they stay after the last need of them: writeback comes to a folio within
    /// `dirty_expire_centisecs` and `dirty_writeback_centisecs` of its becoming dirty, and what is
    /// pinned again and again does not have them attached each time.
    calm: Duration,
    /// When there was something to judge last.
    needed: Option<Duration>,
}

impl Arming {
    pub(crate) fn new(mode: WritebackHooks, calm: Duration) -> Self {
        Self {
            mode,
            calm,
            needed: None,
        }
    }

    /// From now on it decides so.
    pub(crate) fn adjust(&mut self, mode: WritebackHooks, calm: Duration) {
        (self.mode, self.calm) = (mode, calm);
    }

    /// Whether the hooks are to be attached at `now`, since boot.
    pub(crate) fn wants(
        &mut self,
        files: &HashMap<u64, FileUse, RandomState>,
        memory: impl Fn(u64) -> Memory,
        now: Duration,
    ) -> bool {
        match self.mode {
            WritebackHooks::Always => return true,
            WritebackHooks::Never => return false,
            WritebackHooks::Auto => {}
        }
        let is_needed = files.iter().any(|(mapping, used)| {
            self.is_recent(used, now) && may_be_written_back(&memory(*mapping))
        });
        if is_needed {
            self.needed = Some(now);
        }
        self.needed.is_some_and(|it| now < it + self.calm)
    }

    fn is_recent(&self, used: &FileUse, now: Duration) -> bool {
        used.is_held || now < Duration::from_nanos(used.since_ns) + self.calm
    }
}

/// What is not known may be.
fn may_be_written_back(memory: &Memory) -> bool {
    match memory {
        Memory::Anonymous | Memory::Unmapped => false,
        Memory::Unknown => true,
        Memory::File(file) => !NEVER_WRITTEN_BACK.contains(&file.file_system.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owners::files::FileName;

    const MAPPING: u64 = 0x1000;

    fn on(file_system: &str) -> Memory {
        Memory::File(FileName {
            file_system: file_system.to_owned(),
            volume: String::new(),
            device: String::new(),
            inode: 1,
            path: None,
        })
    }

    fn used(is_held: bool, since: u64) -> HashMap<u64, FileUse, RandomState> {
        let used = FileUse {
            key: 1,
            is_held,
            since_ns: Duration::from_secs(since).as_nanos() as u64,
        };
        HashMap::from_iter([(MAPPING, used)])
    }

    fn arming(mode: WritebackHooks) -> Arming {
        Arming::new(mode, Duration::from_secs(60))
    }

    fn wants(memory: &Memory, is_held: bool, since: u64, now: u64) -> bool {
        arming(WritebackHooks::Auto).wants(
            &used(is_held, since),
            |_| memory.clone(),
            Duration::from_secs(now),
        )
    }

    #[test]
    fn a_file_that_writeback_cleans_wants_them_while_it_is_pinned() {
        assert!(wants(&on("ext4"), true, 1, 9999));
        assert!(wants(&Memory::Unknown, true, 1, 9999));
        for memory in [
            on("tmpfs"),
            on("hugetlbfs"),
            Memory::Anonymous,
            Memory::Unmapped,
        ] {
            assert!(!wants(&memory, true, 1, 9999), "{memory:?}");
        }
    }

    #[test]
    fn and_a_minute_after_its_last_pin() {
        assert!(wants(&on("xfs"), false, 100, 159));
        assert!(!wants(&on("xfs"), false, 100, 161));
        let mut auto = arming(WritebackHooks::Auto);
        let held = used(true, 1);
        let at = Duration::from_secs;
        let ext4 = |_| on("ext4");
        assert!(auto.wants(&held, ext4, at(1000)));
        let none = HashMap::default();
        assert!(auto.wants(&none, ext4, at(1059)));
        assert!(!auto.wants(&none, ext4, at(1061)));
    }

    #[test]
    fn what_is_adjusted_holds_at_once_and_the_last_need_is_remembered() {
        let mut arming = arming(WritebackHooks::Auto);
        let at = Duration::from_secs;
        let ext4 = |_| on("ext4");
        assert!(arming.wants(&used(true, 1), ext4, at(1000)));
        arming.adjust(WritebackHooks::Never, at(60));
        assert!(!arming.wants(&used(true, 1), ext4, at(1001)));
        arming.adjust(WritebackHooks::Auto, at(600));
        assert!(arming.wants(&HashMap::default(), ext4, at(1599)));
        assert!(!arming.wants(&HashMap::default(), ext4, at(1601)));
    }

    #[test]
    fn whoever_says_always_or_never_means_it() {
        let ext4 = |_| on("ext4");
        let at = Duration::from_secs(5);
        let mut never = arming(WritebackHooks::Never);
        assert!(!never.wants(&used(true, 1), ext4, at));
        let mut always = arming(WritebackHooks::Always);
        assert!(always.wants(&HashMap::default(), ext4, at));
    }
}
