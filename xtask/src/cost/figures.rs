//! What was measured in one boot: instructions for one operation, by observer and load.
//! Leaves out where the numbers come from, and what they should be.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

/// What was attached while the load ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Observer {
    /// Nothing.
    Off,
    /// The agent as it attaches by itself, at work.
    Awake,
    /// The same, stopped: its probes alone.
    Fentry,
    /// The agent by kprobes only, stopped.
    Kprobe,
    /// The agent as it attaches by itself, with nothing pinned of a file, stopped.
    RestingFentry,
    /// The same by kprobes only.
    RestingKprobe,
    /// bpftrace, which sums the pages of each call by the name of the process, on a kretprobe.
    Bpftrace,
    /// An fentry and an fexit program that do nothing.
    EmptyFexit,
    /// A kprobe and a kretprobe program that do nothing.
    EmptyKretprobe,
}

/// What ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Load {
    /// A direct read of 4 KiB.
    Io,
    /// A call that pins one page, and releases it.
    Pages1,
    /// The same of 8 pages.
    Pages8,
    /// The same of 512 pages, each a folio.
    Pages512,
    /// A call that pins one page of a folio of 512.
    Folio1,
    /// A call that pins all 512 pages of one folio.
    Folio512,
    /// A walk of mkclean, nothing pinned.
    Walk,
    /// `munmap` of 512 file pages.
    Unmap,
    /// `fork` of a process with 1,024 anonymous pages, and the end of the child.
    Fork,
    /// busybox's `true` in a new process.
    Exec,
    /// `munmap` of 512 anonymous pages.
    UnmapAnon,
    /// `MADV_DONTNEED` of 512 anonymous pages.
    DontNeed,
    /// 512 faults that give an anonymous page.
    Fault,
    /// `write` and `fsync` of 1 MiB that nobody has mapped.
    Write,
    /// `MADV_PAGEOUT` of 256 clean file pages.
    PageOut,
}

impl Observer {
    pub(crate) const ALL: [(Self, &str); 9] = [
        (Self::Off, "off"),
        (Self::Awake, "awake"),
        (Self::Fentry, "fentry"),
        (Self::Kprobe, "kprobe"),
        (Self::RestingFentry, "resting_fentry"),
        (Self::RestingKprobe, "resting_kprobe"),
        (Self::Bpftrace, "bpftrace"),
        (Self::EmptyFexit, "empty_fexit"),
        (Self::EmptyKretprobe, "empty_kretprobe"),
    ];
}

impl Load {
    pub(crate) const ALL: [(Self, &str); 15] = [
        (Self::Io, "io"),
        (Self::Pages1, "pages1"),
        (Self::Pages8, "pages8"),
        (Self::Pages512, "pages512"),
        (Self::Folio1, "folio1"),
        (Self::Folio512, "folio512"),
        (Self::Walk, "walk"),
        (Self::Unmap, "unmap"),
        (Self::Fork, "fork"),
        (Self::Exec, "exec"),
        (Self::UnmapAnon, "unmap_anon"),
        (Self::DontNeed, "dont_need"),
        (Self::Fault, "fault"),
        (Self::Write, "write"),
        (Self::PageOut, "page_out"),
    ];
}

/// What those do who pin nothing.
pub(crate) const BYSTANDERS: [(Load, &str); 9] = [
    (Load::Fork, "`fork` and exit, 1,024 anonymous pages"),
    (Load::Exec, "`true` in a new process"),
    (Load::UnmapAnon, "`munmap` of 512 anonymous pages"),
    (Load::DontNeed, "`MADV_DONTNEED` of 512 anonymous pages"),
    (Load::Fault, "512 faults on anonymous memory"),
    (Load::Write, "`write` of 1 MiB and `fsync`"),
    (Load::PageOut, "`MADV_PAGEOUT` of 256 clean file pages"),
    (Load::Unmap, "`munmap` of 512 file pages"),
    (Load::Walk, "mkclean walk"),
];

/// What the agent itself takes, its probes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Own {
    /// Until it serves, in instructions.
    Start,
    /// A second with nothing pinned.
    Idle,
    /// A scrape with nothing pinned.
    Scrape,
    /// A second with 200,000 folios pinned, in which nothing changes.
    IdleFull,
    /// A scrape with them.
    ScrapeFull,
    /// Memory that is its own, in KiB, with nothing pinned.
    Resident,
}

impl Own {
    pub(crate) const ALL: [(Self, &str); 6] = [
        (Self::Start, "start"),
        (Self::Idle, "idle"),
        (Self::Scrape, "scrape"),
        (Self::IdleFull, "idle_full"),
        (Self::ScrapeFull, "scrape_full"),
        (Self::Resident, "resident"),
    ];
}

/// How often each measurement is made in one boot.
const ROUNDS: usize = 2;

/// The rounds of one measurement may differ by this part of the figure: the longer a bucket of the ledger is
/// searched for fio's one page, the more a read takes,
const TOLERANCE: f64 = 0.01;

/// or, of a call of 512 folios, by this part: each of them lies in a bucket of its own,
const TOLERANCE_OF_MANY: f64 = 0.03;

/// or by this many instructions: fio gives its time in milliseconds, which are 5 instructions an I/O.
const LEAST_TOLERANCE: f64 = 10.0;

/// Of what the agent itself takes they may differ by more: when its clock ticks, and what it does then, is its own affair.
const OWN_TOLERANCE: f64 = 0.2;

/// What the verifier said of one program: how many instructions it looked at, or why it refused.
pub(crate) type Verified = Result<u64, String>;

/// The figures of one boot.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    measured: BTreeMap<(Observer, Load), Vec<f64>>,
    own: BTreeMap<Own, Vec<f64>>,
    pub(crate) programs: BTreeMap<String, Verified>,
}

impl Figures {
    /// Another round of a measurement, in instructions for one operation.
    pub(crate) fn add(&mut self, observer: Observer, load: Load, instructions: f64) {
        self.measured
            .entry((observer, load))
            .or_default()
            .push(instructions);
    }

    /// Instructions for one operation, by the first round.
    pub(crate) fn of(&self, observer: Observer, load: Load) -> Option<f64> {
        self.measured.get(&(observer, load))?.first().copied()
    }

    /// What the observer adds to one operation.
    pub(crate) fn added(&self, observer: Observer, load: Load) -> anyhow::Result<f64> {
        let with = self.of(observer, load);
        let without = self.of(Observer::Off, load);
        with.zip(without)
            .map(|(with, without)| with - without)
            .with_context(|| format!("{load:?} was not measured with {observer:?}, or not without"))
    }

    /// Another round of what the agent itself takes.
    pub(crate) fn add_own(&mut self, own: Own, measured: f64) {
        self.own.entry(own).or_default().push(measured);
    }

    /// What the agent itself takes, by the first round.
    pub(crate) fn own(&self, own: Own) -> anyhow::Result<f64> {
        let rounds = self.own.get(&own).and_then(|rounds| rounds.first());
        rounds
            .copied()
            .with_context(|| format!("{own:?} of the agent was not measured"))
    }

    /// Fails unless every measurement was made in every round and came out alike.
    pub(crate) fn repeat(&self) -> anyhow::Result<()> {
        ensure!(!self.measured.is_empty(), "nothing was measured");
        let mut wrong = Vec::new();
        for ((observer, load), rounds) in &self.measured {
            let tolerance = match load {
                Load::Pages512 => TOLERANCE_OF_MANY,
                _ => TOLERANCE,
            };
            if !are_alike(rounds, tolerance) {
                wrong.push(format!("{load:?} with {observer:?}: {rounds:.1?}"));
            }
        }
        for (own, rounds) in &self.own {
            if !are_alike(rounds, OWN_TOLERANCE) {
                wrong.push(format!("{own:?} of the agent: {rounds:.1?}"));
            }
        }
        ensure!(
            wrong.is_empty(),
            "{ROUNDS} rounds of one boot differ by more than {}% ({}% of a call of 512 folios, {}% of the agent itself):\n  {}",
            TOLERANCE * 100.0,
            TOLERANCE_OF_MANY * 100.0,
            OWN_TOLERANCE * 100.0,
            wrong.join("\n  ")
        );
        Ok(())
    }
}

fn are_alike(rounds: &[f64], tolerance: f64) -> bool {
    let low = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let high = rounds.iter().copied().fold(0.0, f64::max);
    rounds.len() == ROUNDS && high - low <= (low * tolerance).max(LEAST_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rounds: &[f64]) -> Figures {
        let mut figures = Figures::default();
        for round in rounds {
            figures.add(Observer::Off, Load::Io, *round);
        }
        figures
    }

    #[test]
    fn rounds_that_differ_are_no_figure() {
        assert!(rounds(&[6530.0, 6530.0]).repeat().is_ok());
        assert!(rounds(&[100.0, 109.0]).repeat().is_ok());
        assert!(rounds(&[6530.0, 6600.0]).repeat().is_err());
    }

    #[test]
    fn a_round_that_is_missing_is_an_error() {
        assert!(rounds(&[]).repeat().is_err());
        assert!(rounds(&[6530.0]).repeat().is_err());
    }

    #[test]
    fn what_was_not_measured_adds_nothing_by_name() {
        let error = rounds(&[1.0, 1.0]).added(Observer::Fentry, Load::Io);
        assert!(error.unwrap_err().to_string().contains("Io"));
    }
}
