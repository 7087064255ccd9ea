//! Four books that must agree to the page at a quiet point: what a workload counted itself, the
//! kernel's own counters, the agent's, and what the witness finds pinned. It starts no workload.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::agent::Agent;
use crate::bench::Bench;
use crate::metrics::Metrics;
use crate::wait::{Look, until};
use crate::workload::Counts;
use lab::pin_counters::PinCounters;
use lab::witness::Count;

/// How long books may differ at rest: a kernel worker releases pins, the ledger is put right.
pub(crate) const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// Causes of loss after which the agent's totals may lack what was done: programs that the kernel
/// skipped, and returns that were not seen.
const MISSED: [&str; 2] = ["hook_missed", "return_missed"];

/// How often the agent pins a page itself, to see whether its hooks still see.
const BEAT: Duration = Duration::from_secs(30);

/// What all of them said before anything was done.
pub(crate) struct Books<'a> {
    bench: &'a Bench,
    opened: Instant,
    kernel: PinCounters,
    agent: Metrics,
    witness: Count,
}

/// What the kernel may have rolled back inside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rollbacks {
    /// Nothing.
    Nothing,
    /// Pins of its own, which the agent knows by what both of the kernel's counters have more.
    Some,
}

/// Pins acquired and released.
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
pub(crate) struct Held {
    pub(crate) pins: i64,
    pub(crate) folios: i64,
    pub(crate) bytes: i64,
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
    agent: Growth,
    /// What is pinned, by the agent.
    pub(crate) held: Held,
    unreconciled: i64,
    pub(crate) rolled_back: i64,
    pub(crate) rolled_back_unseen: i64,
    /// Pins that the audit entered, less those that it took off.
    pub(crate) put_right: i64,
    /// Pages released that the ledger did not have.
    unknown: i64,
    /// Runs and returns that no probe saw, which the kernel or the agent counted.
    pub(crate) missed: i64,
    /// Pins that may be the agent's own, at most.
    beats: i64,
    /// Pins that the agent has since its start more than its totals explain.
    unaccounted: i64,
}

impl<'a> Books<'a> {
    /// They are read one after the other, of one moment: the agent, which pins a page itself now and
    /// then, had the kernel's count as it is here.
    pub(crate) fn open(bench: &'a Bench, agent: &Agent) -> Result<Self> {
        let (kernel, agent) = agent.scrape_until("books of one moment", |now| {
            let kernel = PinCounters::read()?;
            let read = |name| now.sum(name).map(i64::cast_unsigned);
            let acquired = read("pinscope_kernel_pins_acquired_total")?;
            let released = read("pinscope_kernel_pins_released_total")?;
            Ok(
                if [kernel.acquired, kernel.released] == [acquired, released] {
                    Look::Done((kernel, now.clone()))
                } else {
                    Look::NotYet(format!(
                        "the kernel counts {kernel:?}, the agent read {acquired} and {released}"
                    ))
                },
            )
        })?;
        Ok(Self {
            bench,
            opened: Instant::now(),
            kernel,
            agent,
            witness: bench.witnessed()?,
        })
    }

    /// All of them, to the page, once nothing moves; against the workload's own count as well if it
    /// has one.
    pub(crate) fn check(
        &self,
        agent: &Agent,
        own: Option<Counts>,
        rollbacks: Rollbacks,
    ) -> Result<Seen> {
        until("books that agree", SETTLED_WITHIN, || {
            let seen = self.read(agent)?;
            if let Some(why) = seen.disagrees_with(own, rollbacks) {
                let own =
                    own.map(|own| format!("own {} and {}; ", own.pages_pinned, own.pages_released));
                let own = own.unwrap_or_default();
                let lost = agent.scrape()?.show("pinscope_lost_total");
                return Ok(Look::NotYet(format!("{why}: {own}{seen}; {lost}")));
            }
            // Last, for it takes longest.
            let found = Held::between(self.witness, self.bench.witnessed()?);
            Ok(if seen.held == found {
                Look::Done(seen)
            } else {
                Look::NotYet(format!("{seen}; found pinned: {found:?}"))
            })
        })
    }

    fn read(&self, agent: &Agent) -> Result<Seen> {
        let kernel = Growth::between(self.kernel, PinCounters::read()?);
        let now = agent.scrape()?;
        let grown = |name: &str| Ok::<_, anyhow::Error>(now.sum(name)? - self.agent.sum(name)?);
        let lost = |cause| grown_with(&self.agent, &now, "pinscope_lost_total", cause);
        let repaired = |cause| grown_with(&self.agent, &now, "pinscope_repaired_total", cause);
        Ok(Seen {
            kernel,
            agent: Growth {
                acquired: grown("pinscope_pins_acquired_total")?,
                released: grown("pinscope_pins_released_total")?,
            },
            held: Held {
                pins: grown("pinscope_pins")?,
                folios: grown("pinscope_pinned_folios")?,
                bytes: grown("pinscope_pinned_bytes")?,
            },
            unreconciled: now.sum("pinscope_unreconciled_pins")?,
            rolled_back: grown("pinscope_pins_rolled_back_total")?,
            rolled_back_unseen: grown("pinscope_pins_rolled_back_unseen")?,
            put_right: repaired("pin_missed") - repaired("release_missed"),
            unknown: lost("unknown_release"),
            missed: MISSED.into_iter().map(lost).sum(),
            unaccounted: unaccounted(&now)?,
            beats: (self.opened.elapsed().as_secs() / BEAT.as_secs() + 1).cast_signed(),
        })
    }
}

/// By the rule of docs/operating.md, "When the figures agree".
fn unaccounted(now: &Metrics) -> Result<i64> {
    let lost = |cause| now.sum_with("pinscope_lost_total", &[("cause", cause)]);
    let repaired = |cause| now.sum_with("pinscope_repaired_total", &[("cause", cause)]);
    Ok(
        now.sum("pinscope_pins")? - now.sum("pinscope_pins_acquired_total")?
            + now.sum("pinscope_pins_released_total")?
            - repaired("pin_missed")
            + repaired("release_missed")
            - lost("unknown_release")
            + lost("truncated")
            + lost("unreadable")
            - now.sum("pinscope_census_pins_entered_total")?,
    )
}

fn grown_with(before: &Metrics, now: &Metrics, name: &str, cause: &str) -> i64 {
    let labels = [("cause", cause)];
    now.sum_with(name, &labels) - before.sum_with(name, &labels)
}

impl Seen {
    /// What is wrong, if anything is. What is outstanding is never excused; the agent's totals may
    /// lack what was done in runs that the kernel skipped, which both of them count.
    fn disagrees_with(&self, own: Option<Counts>, rollbacks: Rollbacks) -> Option<&'static str> {
        let (acquired, released) = self.unseen();
        let lacks = |lacking: i64| {
            if self.missed > 0 {
                lacking >= 0
            } else {
                lacking == 0
            }
        };
        let rolled_back = match rollbacks {
            Rollbacks::Nothing => self.rolled_back == 0 && lacks(self.rolled_back_unseen),
            Rollbacks::Some => self.rolled_back_unseen >= 0,
        };
        let balance = self.agent.outstanding() + self.put_right + self.unknown;
        let is_own = |more: i64| more <= self.beats && (more >= 0 || self.missed > 0);
        let as_own = own.is_none_or(|own| {
            own.pages_pinned - own.pages_released == self.kernel.outstanding()
                && is_own(self.agent.acquired - own.pages_pinned)
                && is_own(self.agent.released - own.pages_released)
        });
        [
            (self.unreconciled == 0, "a difference is left"),
            (
                self.held.pins == self.kernel.outstanding(),
                "the agent has not what the kernel has",
            ),
            (
                self.held.pins == balance,
                "pins are there, or are not, that nothing counted",
            ),
            (
                self.unaccounted == 0,
                "there are pins that the totals do not explain",
            ),
            (lacks(acquired) && lacks(released), "the totals differ"),
            (rolled_back, "pins were rolled back that were not to be"),
            (as_own, "the workload counted otherwise"),
        ]
        .into_iter()
        .find_map(|(is_right, why)| (!is_right).then_some(why))
    }

    /// By how much the kernel's totals are above the agent's and what that knows to be rolled back.
    fn unseen(&self) -> (i64, i64) {
        let rolled_back = self.rolled_back + self.rolled_back_unseen;
        (
            self.kernel.acquired - self.agent.acquired - rolled_back,
            self.kernel.released - self.agent.released - rolled_back,
        )
    }

    /// Whether the agent saw a pin taken that is not its own.
    pub(crate) fn is_acquired(&self) -> bool {
        self.agent.acquired > self.beats
    }

    /// Whether the agent may lack so many pages of what was done.
    pub(crate) fn allows(&self, lacking: i64) -> bool {
        lacking == 0 || lacking > 0 && self.missed > 0
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {} acquired {} released, agent {} and {}, {} rolled back, {} more unseen, \
             {} outstanding on {} folios of {} bytes, difference {}",
            self.kernel.acquired,
            self.kernel.released,
            self.agent.acquired,
            self.agent.released,
            self.rolled_back,
            self.rolled_back_unseen,
            self.held.pins,
            self.held.folios,
            self.held.bytes,
            self.unreconciled
        )?;
        for (count, what) in [
            (self.missed, "runs missed"),
            (self.put_right, "pins put right"),
            (self.unknown, "unknown releases"),
            (self.unaccounted, "pins not accounted for since the start"),
        ] {
            if count != 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
