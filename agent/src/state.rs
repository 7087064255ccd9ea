//! The one in-memory state that everything a user sees is a view on. The
//! collector alone writes it.

use std::io;

use aya::maps::{MapData, RingBuf};
use log::{debug, warn};
use probe_abi::{CpuCounters, Lost, MkcleanSample};

use crate::{
    attach::{HookState, Programs},
    books::{Books, Outstanding},
    error::AgentError,
    judge::{Inputs, Judge, Losses},
    record::{self, Recorder},
    recording::Head,
    vmstat::{self, Vmstat},
};

/// Causes of loss after which the ledger may lack pages that are pinned.
const LEDGER_LOSSES: [usize; 7] = [
    Lost::LEDGER_FULL,
    Lost::UNREADABLE,
    Lost::THREADS_FULL,
    Lost::RETURN_MISSED,
    Lost::TRUNCATED,
    Lost::CONTENDED,
    Lost::HOOK_MISSED,
];

/// The agent's state.
pub(crate) struct State {
    pub(crate) hooks: Vec<HookState>,
    pub(crate) judge: Judge,
    pub(crate) head: Head,
    /// Where samples go besides, if they are recorded.
    pub(crate) recorder: Option<Recorder>,
    /// Samples that came out of the ring and could be read.
    pub(crate) delivered: u64,
    books: Books,
    programs: Programs,
    start: Baseline,
}

/// Both counts at the same moment; what follows is compared as growth.
#[derive(Clone, Copy, Debug)]
struct Baseline {
    vmstat: Vmstat,
    ours: (u64, u64),
}

/// What a view shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) totals: CpuCounters,
    pub(crate) outstanding: Outstanding,
    pub(crate) ledger_slots: u64,
    pub(crate) vmstat: Vmstat,
    /// Ledger's balance less the kernel's, since the start; 0 is agreement.
    pub(crate) unreconciled: i64,
}

impl State {
    pub(crate) fn new(
        hooks: Vec<HookState>,
        books: Books,
        programs: Programs,
    ) -> Result<Self, AgentError> {
        let serves = |name| {
            hooks
                .iter()
                .any(|it: &HookState| it.name == name && it.serving.is_some())
        };
        let inputs = Inputs {
            ptes: serves("ptes_found"),
            zaps: serves("zap") && serves("mapcount_decrement"),
        };
        let start = baseline(&books)?;
        let judge = Judge::new(books.capacity() as usize, inputs);
        let head = record::head(&hooks, inputs, books.capacity());
        Ok(Self {
            hooks,
            judge,
            head,
            recorder: None,
            delivered: 0,
            books,
            programs,
            start,
        })
    }

    /// Judges what the ring holds. Fails where it cannot be recorded.
    pub(crate) fn drain(&mut self, ring: &mut RingBuf<MapData>) -> io::Result<()> {
        let mut totals = self.books.totals();
        totals.lost[Lost::HOOK_MISSED] = self.programs.misses();
        let losses = Losses {
            samples: totals.lost[Lost::RING_FULL],
            pages: LEDGER_LOSSES.iter().map(|cause| totals.lost[*cause]).sum(),
        };
        if losses != self.judge.losses {
            debug!("lost so far: {losses:?}");
            self.judge.lose(losses);
            if let Some(recorder) = &mut self.recorder {
                recorder.losses(losses)?;
            }
        }
        while let Some(bytes) = ring.next() {
            match bytemuck::try_pod_read_unaligned::<MkcleanSample>(&bytes) {
                Ok(sample) => {
                    self.delivered += 1;
                    self.judge.judge(&sample);
                    if let Some(recorder) = &mut self.recorder {
                        recorder.sample(&sample)?;
                    }
                }
                Err(error) => warn!("a sample of {} bytes: {error}", bytes.len()),
            }
        }
        Ok(())
    }

    /// Reads everything.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, AgentError> {
        let mut snapshot = self.read()?;
        if snapshot.unreconciled != 0 {
            // Perhaps only a CPU's pending difference: ask for those, once.
            vmstat::refresh();
            snapshot = self.read()?;
        }
        Ok(snapshot)
    }

    fn read(&self) -> Result<Snapshot, AgentError> {
        let mut totals = self.books.totals();
        totals.lost[Lost::HOOK_MISSED] = self.programs.misses();
        let vmstat = Vmstat::read()?.since(self.start.vmstat);
        let pinned = totals.pages_pinned as i64 - self.start.ours.0 as i64;
        let unpinned = totals.pages_unpinned as i64 - self.start.ours.1 as i64;
        let theirs = vmstat.acquired as i64 - vmstat.released as i64;
        Ok(Snapshot {
            totals,
            outstanding: self.books.outstanding(),
            ledger_slots: self.books.capacity(),
            vmstat,
            unreconciled: pinned - unpinned - theirs,
        })
    }
}

/// Takes both counts while neither moves. On a host that never rests, the last
/// try stands, and the difference it leaves is constant.
fn baseline(books: &Books) -> Result<Baseline, AgentError> {
    const TRIES: u32 = 20;
    let ours = || {
        let totals = books.totals();
        (totals.pages_pinned, totals.pages_unpinned)
    };
    vmstat::refresh();
    let mut before = (ours(), Vmstat::read()?);
    for _ in 0..TRIES {
        vmstat::refresh();
        let after = (ours(), Vmstat::read()?);
        if after == before {
            return Ok(Baseline {
                vmstat: after.1,
                ours: after.0,
            });
        }
        before = after;
    }
    warn!("pins were taken at every try to compare books; they start with a difference");
    Ok(Baseline {
        vmstat: before.1,
        ours: before.0,
    })
}
