//! How often a function is entered, whoever calls it: counted by a program that is made here, of a
//! few instructions.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use aya::Btf;
use aya_obj::btf::BtfKind;
use memmap2::{MmapOptions, MmapRaw};

use super::kprobes::Attached;
use crate::kernel::{
    instructions::{R0, R1, R2, add_atomically, exit, set, set_to_values},
    sys::{
        bpf,
        perf::{self, End},
    },
};

/// It counts for as long as this lives.
pub(crate) struct EntryCounter {
    count: MmapRaw,
    _probe: Probe,
}

/// What keeps the program attached.
#[expect(dead_code, reason = "it counts until closed")]
enum Probe {
    Fentry(OwnedFd),
    Kprobe(Attached),
}

impl EntryCounter {
    /// By fentry, or else by a kprobe.
    pub(crate) fn on(function: &str, btf: &Btf) -> io::Result<Self> {
        let map = bpf::create_words(1)?;
        let program = counting(map.as_raw_fd());
        let fentry = || {
            let id = btf.id_by_type_name_kind(function, BtfKind::Func);
            let program = bpf::load_fentry(&program, id.map_err(io::Error::other)?)?;
            bpf::attach_tracing(program).map(Probe::Fentry)
        };
        let kprobe = |_| {
            let event = perf::open_kprobe(function, End::Entry)?;
            Attached::new(bpf::load_kprobe(&program)?, event, None).map(Probe::Kprobe)
        };
        Ok(Self {
            _probe: fentry().or_else(kprobe)?,
            count: MmapOptions::new()
                .len(size_of::<u64>())
                .map_raw_read_only(map.as_raw_fd())?,
        })
    }

    /// Entries so far.
    pub(crate) fn count(&self) -> u64 {
        // SAFETY: the one word of the map, aligned as its page is, and only read here.
        let word = unsafe { AtomicU64::from_ptr(self.count.as_ptr().cast_mut().cast()) };
        word.load(Ordering::Acquire)
    }
}

/// Adds 1 to the map's one word.
fn counting(map: i32) -> [u64; 6] {
    let [low, high] = set_to_values(R1, map);
    [
        low,
        high,
        set(R2, 1),
        add_atomically(R1, R2),
        set(R0, 0),
        exit(),
    ]
}
