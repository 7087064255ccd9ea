//! The one in-memory state that everything a user sees is a view on. The
//! collector alone writes it.

use std::{collections::HashMap, io, time::Duration};

use aya::maps::{MapData, RingBuf};
use hooks::{MAPCOUNT_DECREMENT, PTES_FOUND, ZAP};
use log::{debug, warn};
use probe_abi::{CpuCounters, Lost, MkcleanSample};
use verdicts::{Inputs, Judge, Losses, recording::Head};

use super::{
    hooks::Hook,
    recorder::{self, Recorder},
};
use crate::{
    error::AgentError,
    kernel::{
        attach::Programs,
        maps::{Counters, LedgerView},
        vmstat::{self, Vmstat},
    },
    owners::OwnerRegistry,
};

/// The agent's state.
pub(crate) struct State {
    pub(crate) hooks: Vec<Hook>,
    /// How long their test took.
    pub(crate) self_test: Duration,
    pub(crate) judge: Judge,
    pub(crate) head: Head,
    /// Where samples go besides, if they are recorded.
    pub(crate) recorder: Option<Recorder>,
    /// Samples that came out of the ring and could be read.
    pub(crate) delivered: u64,
    pub(crate) owners: OwnerRegistry,
    counters: Counters,
    ledger: LedgerView,
    programs: Programs,
    start: Baseline,
}

/// What is outstanding now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outstanding {
    /// Pins not yet released, in pages: those in the ledger, and those that
    /// sampling keeps out of it.
    pub(crate) pinned_pages: u64,
    /// Of those, what sampling keeps out of the ledger.
    pub(crate) untracked_pages: u64,
    /// Folios in the ledger with at least one pin.
    pub(crate) pinned_folios: u64,
    /// Pages of those folios, pinned or not: the memory that cannot move.
    pub(crate) held_pages: u64,
    /// Plain references not yet seen released, on file folios.
    pub(crate) references: u64,
    /// Slots in use, those that only remember included.
    pub(crate) slots_used: u64,
}

/// Both counts at the same moment; what follows is compared as growth.
#[derive(Clone, Copy, Debug)]
struct Baseline {
    vmstat: Vmstat,
    ours: Ours,
}

impl Baseline {
    /// Of the pages that were pinned then, those not yet seen released. Whose they
    /// are is not known.
    fn still_pinned(&self, totals: &CpuCounters) -> u64 {
        let released = totals.lost[Lost::UNKNOWN_RELEASE];
        self.vmstat.outstanding().saturating_sub(released)
    }
}

/// Pages pinned, unpinned, and undone inside a call.
type Ours = (u64, u64, u64);

/// What a view shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) totals: CpuCounters,
    pub(crate) outstanding: Outstanding,
    pub(crate) ledger_slots: u64,
    pub(crate) vmstat: Vmstat,
    /// Ledger's balance less the kernel's, since the start; 0 is agreement.
    pub(crate) unreconciled: i64,
    /// What the kernel counts as pinned and as released, and no call told of: it
    /// took them back inside one. What is under way shows, too.
    pub(crate) rolled_back: u64,
    /// Pages that were pinned when the agent started, and are not known to be released.
    pub(crate) from_before: u64,
    /// The kernel's count of what was pinned since then and is not released.
    pub(crate) vmstat_pages: i64,
}

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

impl State {
    pub(crate) fn new(
        hooks: Vec<Hook>,
        counters: Counters,
        ledger: LedgerView,
        programs: Programs,
        owners: OwnerRegistry,
    ) -> Result<Self, AgentError> {
        let sees = |name| hooks.iter().any(|it| it.state.name == name && it.sees());
        let inputs = Inputs {
            ptes: sees(PTES_FOUND),
            zaps: sees(ZAP) && sees(MAPCOUNT_DECREMENT),
        };
        let start = baseline(&counters)?;
        let judge = Judge::new(ledger.capacity() as usize, inputs);
        let head = recorder::head(&hooks, inputs, ledger.capacity());
        Ok(Self {
            hooks,
            self_test: Duration::ZERO,
            judge,
            head,
            recorder: None,
            delivered: 0,
            owners,
            counters,
            ledger,
            programs,
            start,
        })
    }

    /// Judges what the ring ledger. Fails where it cannot be recorded.
    pub(crate) fn drain(&mut self, ring: &mut RingBuf<MapData>) -> io::Result<()> {
        let mut totals = self.counters.totals();
        totals.lost[Lost::HOOK_MISSED] = self.programs.misses(totals.runs_made_up);
        let losses = Losses {
            samples: totals.lost[Lost::RING_FULL],
            pages: LEDGER_LOSSES
                .iter()
                .map(|cause| totals.lost[*cause])
                .sum::<u64>()
                + self.start.still_pinned(&totals),
        };
        if losses != self.judge.losses() {
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

    /// One second has passed.
    pub(crate) fn tick(&mut self) {
        self.owners.tick(&self.counters, &self.ledger);
    }

    /// Reads everything.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot, AgentError> {
        self.owners.refresh(&self.counters, &self.ledger);
        let mut snapshot = self.read()?;
        if snapshot.unreconciled != 0 {
            // Perhaps only a CPU's pending difference: ask for those, once.
            vmstat::refresh();
            snapshot = self.read()?;
        }
        Ok(snapshot)
    }

    fn read(&self) -> Result<Snapshot, AgentError> {
        let mut totals = self.counters.totals();
        totals.lost[Lost::HOOK_MISSED] = self.programs.misses(totals.runs_made_up);
        let vmstat = Vmstat::read()?.since(self.start.vmstat);
        let pinned = totals.pages_pinned as i64 - self.start.ours.0 as i64;
        let unpinned = totals.pages_unpinned as i64 - self.start.ours.1 as i64;
        let undone = totals.pages_undone as i64 - self.start.ours.2 as i64;
        let theirs = vmstat.acquired as i64 - vmstat.released as i64;
        let from_before = self.start.still_pinned(&totals);
        let released_from_before = self.start.vmstat.outstanding() - from_before;
        let acquired_untold = vmstat.acquired as i64 - pinned - undone;
        let released_untold = vmstat.released as i64 - unpinned - undone;
        Ok(Snapshot {
            totals,
            outstanding: self.outstanding(&totals),
            ledger_slots: self.ledger.capacity(),
            vmstat,
            unreconciled: pinned - unpinned - theirs,
            from_before,
            vmstat_pages: theirs + released_from_before.cast_signed(),
            rolled_back: acquired_untold.min(released_untold).max(0).cast_unsigned(),
        })
    }
}

impl State {
    fn outstanding(&self, totals: &CpuCounters) -> Outstanding {
        let ledger = &self.owners.ledger;
        // Several owners of a folio, or two slots of one, are one folio.
        let folios: HashMap<u64, u32> = ledger.pins.iter().map(|it| (it.key, it.pages)).collect();
        Outstanding {
            pinned_pages: self.owners.pinned_pages(totals),
            untracked_pages: self.owners.untracked_pages(totals),
            pinned_folios: folios.len() as u64,
            held_pages: folios.values().map(|pages| u64::from(*pages)).sum(),
            references: ledger.references,
            slots_used: ledger.slots_used,
        }
    }
}

/// Takes both counts while neither moves. On a host that never rests, the last
/// try stands, and the difference it leaves is constant.
fn baseline(counters: &Counters) -> Result<Baseline, AgentError> {
    const TRIES: u32 = 20;
    let ours = || -> Ours {
        let totals = counters.totals();
        let CpuCounters {
            pages_pinned,
            pages_unpinned,
            pages_undone,
            ..
        } = totals;
        (pages_pinned, pages_unpinned, pages_undone)
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
