//! Four books that must agree to the page at a quiet point: what a workload counted itself, the
//! kernel's own counters, the agent's, and what the witness finds pinned. It starts no workload.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::agent::Agent;
use crate::bench::Bench;
use crate::metrics::Metrics;
use crate::wait::{Look, until};
use crate::workload::Counts;
use lab::pin_counters::PinCounters;
use lab::witness::Count;

/// No workload here pins or releases more with one call.
const PAGES_A_RUN: i64 = 1024;

/// How long a kernel worker may take to give pins back, before books that differ are a failure.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Causes of loss: programs that the kernel skipped, and returns that were not seen.
const MISSED: [&str; 2] = ["hook_missed", "return_missed"];

/// And pages that were counted, and then not found or not changed in the ledger.
const UNBOOKED: [&str; 2] = ["unknown_release", "contended"];

/// What all of them said before anything was done.
pub(crate) struct Books<'a> {
    bench: &'a Bench,
    kernel: PinCounters,
    agent: Metrics,
    witness: Count,
}

/// What the kernel may have undone inside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undoes {
    /// Nothing.
    Nothing,
    /// Pins of its own, which the agent knows by what both of the kernel's counters have more.
    Some,
}

/// By how much the kernel's counters grew.
#[derive(Clone, Copy, Debug)]
struct Growth {
    acquired: i64,
    released: i64,
}

impl Growth {
    fn between(earlier: PinCounters, later: PinCounters) -> Self {
        let grown = later - earlier;
        Self {
            acquired: grown.acquired.cast_signed(),
            released: grown.released.cast_signed(),
        }
    }

    fn outstanding(self) -> i64 {
        self.acquired - self.released
    }
}

/// What is pinned, by one book, as growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    pins: i64,
    folios: i64,
    bytes: i64,
}

impl Held {
    fn between(earlier: Count, later: Count) -> Self {
        let grown = |earlier: u64, later: u64| later.cast_signed() - earlier.cast_signed();
        Self {
            pins: grown(earlier.pins, later.pins),
            folios: grown(earlier.folios, later.folios),
            bytes: grown(earlier.bytes, later.bytes),
        }
    }
}

/// What the books said, as growth since they were opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    kernel: Growth,
    pub(crate) pinned: i64,
    unpinned: i64,
    pub(crate) outstanding: i64,
    folios: i64,
    bytes: i64,
    unreconciled: i64,
    pub(crate) undone: i64,
    pub(crate) rolled_back: i64,
    /// Runs and returns that no probe saw, which the kernel or the agent counted.
    missed: i64,
    /// Pages that were counted and are not in the ledger as they should be.
    unbooked: i64,
    /// Both of them since the agent started.
    lost_so_far: i64,
}

impl<'a> Books<'a> {
    /// They are read one after the other: nothing else on the machine pins.
    pub(crate) fn open(bench: &'a Bench, agent: &Agent) -> Result<Self> {
        let kernel = PinCounters::read()?;
        Ok(Self {
            bench,
            kernel,
            agent: agent.scrape()?,
            witness: bench.witnessed()?,
        })
    }

    /// Outstanding pages and both totals, to the page, once nothing moves; against the workload's own
    /// count as well if it has one.
    pub(crate) fn check(&self, agent: &Agent, own: Option<Counts>, undoes: Undoes) -> Result<Seen> {
        until("books that agree", SETTLED_WITHIN, || {
            let seen = self.read(agent)?;
            if !seen.agrees_with(own, undoes) {
                let own =
                    own.map(|own| format!("own {} and {}; ", own.pages_pinned, own.pages_unpinned));
                let own = own.unwrap_or_default();
                let lost = agent.scrape()?.show("pinscope_lost_total");
                return Ok(Look::NotYet(format!("{own}{seen}; {lost}")));
            }
            // Last, for it takes longest.
            let held = Held::between(self.witness, self.bench.witnessed()?);
            Ok(if seen.is_what_is(held) {
                Look::Done(seen)
            } else {
                Look::NotYet(format!("{seen}; found pinned: {held:?}"))
            })
        })
    }

    fn read(&self, agent: &Agent) -> Result<Seen> {
        let kernel = Growth::between(self.kernel, PinCounters::read()?);
        let now = agent.scrape()?;
        let grown = |name: &str| Ok::<_, anyhow::Error>(now.sum(name)? - self.agent.sum(name)?);
        let lost = |it: &Metrics, causes: [&str; 2]| -> i64 {
            let count = |cause| it.sum_with("pinscope_lost_total", &[("cause", cause)]);
            causes.into_iter().map(count).sum()
        };
        let missed = lost(&now, MISSED) - lost(&self.agent, MISSED);
        let unbooked = lost(&now, UNBOOKED) - lost(&self.agent, UNBOOKED);
        Ok(Seen {
            kernel,
            pinned: grown("pinscope_pages_pinned_total")?,
            unpinned: grown("pinscope_pages_unpinned_total")?,
            outstanding: grown("pinscope_pinned_pages")?,
            folios: grown("pinscope_pinned_folios")?,
            bytes: grown("pinscope_pinned_bytes")?,
            unreconciled: grown("pinscope_unreconciled_pages")?,
            undone: grown("pinscope_pages_undone_total")?,
            rolled_back: grown("pinscope_rolled_back_pages")?,
            missed,
            unbooked,
            lost_so_far: lost(&now, MISSED) + lost(&now, UNBOOKED),
        })
    }
}

impl Seen {
    /// Where the kernel skipped probes (a preemptible one does on busy CPUs) the agent may lack
    /// what those runs would have booked, and no more; and it has to know by how much it is off.
    fn agrees_with(&self, own: Option<Counts>, undoes: Undoes) -> bool {
        let known = match undoes {
            Undoes::Nothing => self.allows(self.rolled_back) && self.allows(self.undone),
            Undoes::Some => self.rolled_back >= 0,
        };
        let (acquired, released) = self.unseen();
        let totals = known && self.allows(acquired) && self.allows(released);
        let same_as_own = |own: Counts| {
            own.pages_pinned - own.pages_unpinned == self.kernel.outstanding()
                && self.allows(own.pages_pinned - self.pinned)
                && self.allows(own.pages_unpinned - self.unpinned)
        };
        totals
            && own.is_none_or(same_as_own)
            && (self.outstanding - self.kernel.outstanding() - self.unreconciled).abs()
                <= self.unbooked
            && self.allows(self.unreconciled.abs())
    }

    /// Whether the kernel's count is what was found, and the agent's as well if it missed nothing.
    fn is_what_is(&self, found: Held) -> bool {
        let agents = Held {
            pins: self.outstanding,
            folios: self.folios,
            bytes: self.bytes,
        };
        self.kernel.outstanding() == found.pins && (agents == found || !self.is_whole())
    }

    /// By how much the kernel's totals are above the agent's and what that knows to be undone.
    fn unseen(&self) -> (i64, i64) {
        let undone = self.undone + self.rolled_back;
        (
            self.kernel.acquired - self.pinned - undone,
            self.kernel.released - self.unpinned - undone,
        )
    }

    /// Whether the agent may lack so many pages of what was done.
    pub(crate) fn allows(&self, lacking: i64) -> bool {
        (0..=self.missed * PAGES_A_RUN).contains(&lacking)
    }

    /// Whether nothing was missed, so that every figure is exact.
    pub(crate) fn is_whole(&self) -> bool {
        self.missed == 0 && self.unbooked == 0
    }

    /// Ends the shared agent where it lost something: a ledger that lacks it is no place for the
    /// next test to start from.
    pub(crate) fn leave_to_the_next(&self, bench: &Bench) -> Result<()> {
        if self.is_whole_so_far(bench) {
            return Ok(());
        }
        bench.end_shared()
    }

    /// The same since the agent started, so that its ledger has what is pinned and nothing else.
    pub(crate) fn is_whole_so_far(&self, bench: &Bench) -> bool {
        self.lost_so_far == bench.forgiven()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {} acquired {} released, agent {} and {}, {} undone, {} rolled back, \
             {} outstanding on {} folios of {} bytes, difference {}",
            self.kernel.acquired,
            self.kernel.released,
            self.pinned,
            self.unpinned,
            self.undone,
            self.rolled_back,
            self.outstanding,
            self.folios,
            self.bytes,
            self.unreconciled
        )?;
        if self.is_whole() {
            return Ok(());
        }
        write!(
            f,
            ", {} runs missed, {} pages unbooked",
            self.missed, self.unbooked
        )
    }
}
