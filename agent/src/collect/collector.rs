//! The collector: everything that the agent knows, brought up to date once a second.

mod clones;
mod ends;
mod functions;
mod judging;
mod parts;
mod reading;
mod selection;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aya::maps::{MapData, RingBuf};
use probe_abi::{CpuCounters, Lost};

pub(crate) use parts::Parts;
pub(crate) use selection::Selection;
use {ends::Ends, functions::Functions, judging::Judging, reading::Reader, selection::wanted};

use super::{
    arming::Arming,
    audit::{Around, Cause},
    auditor::{self, Auditor},
    book::{Book, Sources},
    calls::Calls,
    continuity::{Continuity, World},
    doubts::{Doubts, Unseen},
    holdings::{Holdings, held_since},
    hooks::Hook,
    reconcile::{Balance, Look, Reconciler, moved},
    recorder::{self, Destination},
    sampling::{self, Sampling},
    seeing::Seeing,
    snapshot::{Fixed, Outstanding, Snapshot},
    tuning::{Reloaded, Tuning},
};
use crate::{
    error::AgentError,
    kernel::{
        attach::{self, Programs},
        inspect::Inspector,
        judgement::FlagBits,
        maps::{CallTable, Counters, LedgerView, OwnerTable, Settings},
        sys,
        vmstat::PinCounts,
    },
    owners::{
        directory::Directory,
        processes::Life,
        registry::Registry,
        suspects::{Reason, Suspects},
    },
    selftest::Evidence,
};

pub(crate) struct Collector {
    fixed: Arc<Fixed>,
    counters: Counters,
    ledger: LedgerView,
    owners: OwnerTable,
    calls: CallTable,
    inspector: Inspector,
    settings: Settings,
    writeback: attach::Arming,
    programs: Programs,
    bits: FlagBits,

    directory: Directory,
    suspects: Suspects,
    reader: Reader,
    sampling: Sampling,
    auditor: Auditor,
    reconciler: Reconciler,
    continuity: Continuity,
    judging: Judging,
    book: Arc<Book>,
    started: PinCounts,
    balance: Balance,
    doubts: Doubts,
    arming: Arming,
    seeing: Seeing,
    ends: Ends,
    functions: Functions,
    reloaded: Reloaded,
}

impl Collector {
    pub(crate) fn new(parts: Parts) -> Result<Self, AgentError> {
        let started = parts.pins_at_start()?;
        clones::at_start(&parts.settings, &parts.hooks, started);
        let Parts {
            hooks,
            self_test,
            bits,
            counters,
            ledger,
            owners,
            calls,
            inspector,
            function_names,
            settings,
            programs,
            arming,
            tuning,
            longterm_flag,
            census,
        } = parts;
        let inputs = Hook::inputs(&hooks);
        let registry = Registry::new(longterm_flag);
        let fixed = Fixed {
            head: recorder::head(&hooks, inputs, ledger.capacity()),
            hooks,
            self_test,
            ledger_slots: ledger.capacity(),
            owners_limit: owners.capacity(),
        };
        let fixed = Arc::new(fixed);
        Ok(Self {
            fixed: Arc::clone(&fixed),
            judging: Judging::new(ledger.capacity() as usize, inputs),
            bits,
            counters,
            ledger,
            owners,
            calls,
            inspector,
            settings,
            writeback: arming,
            programs,
            directory: Directory::new(registry),
            suspects: Suspects::new(tuning.old_after),
            reader: Reader::default(),
            sampling: Sampling::default(),
            auditor: Auditor::default(),
            reconciler: Reconciler::default(),
            continuity: Continuity::begin(census),
            book: Arc::default(),
            started,
            balance: Balance::default(),
            doubts: Doubts::default(),
            arming: Arming::new(tuning.writeback_hooks, tuning.writeback_calm),
            seeing: Seeing::new(&fixed.hooks, sys::awake()),
            ends: Ends::default(),
            functions: Functions::named_by(function_names),
            reloaded: tuning.reloaded,
        })
    }

    /// From now on samples go into a recording, too.
    pub(crate) fn record(&mut self, to: Destination) -> Result<(), AgentError> {
        self.judging.record(to, &self.fixed.head)
    }

    /// Judges what the ring holds. Fails where it cannot be recorded.
    pub(crate) fn drain(&mut self, ring: &mut RingBuf<MapData>) -> Result<(), AgentError> {
        loop {
            let samples = judging::batch(ring);
            if samples.is_empty() {
                return Ok(());
            }
            // After them: what was lost before any of them was sent is known now.
            self.tell_losses()?;
            for sample in &samples {
                self.judging.judge(sample, &mut self.auditor)?;
            }
        }
    }

    fn tell_losses(&mut self) -> Result<(), AgentError> {
        let totals = self.counters.totals();
        let now = sys::awake();
        self.note_losses(&totals, now);
        let pages = self.doubts.lacking(&self.balance, now);
        let samples = totals.lost[Lost::RING_FULL];
        self.judging.tell(samples, pages, self.writeback.now())
    }

    fn note_losses(&mut self, totals: &CpuCounters, now: Duration) {
        let misses = self.programs.misses_at_most(totals.fallback_runs);
        let unseen = Unseen::of(&misses, self.seeing.looks());
        self.doubts
            .note_losses(totals, unseen, &mut self.auditor, now);
    }

    /// Brings everything up to date: a second has passed.
    pub(crate) fn tick(&mut self) -> Result<Snapshot, AgentError> {
        let now = sys::awake();
        let evidence = Evidence {
            counters: &self.counters,
            ledger: &self.ledger,
            owners: &self.owners,
            inspector: &self.inspector,
        };
        let sees_walks = self.writeback.sees_walks();
        self.seeing
            .look(&self.fixed.hooks, evidence, sees_walks, now);
        self.enter_preexisting();
        // Before anything is read: what is shown is no older than it says.
        let at = [sys::since_boot(), sys::since_1970()];
        let before = self.counters.totals();
        let read = self.reader.read(reading::Sources {
            ledger: &self.ledger,
            counters: &self.counters,
            inspector: &self.inspector,
            settings: &self.settings,
            before,
            from: self.sampling.from(),
        })?;
        let (kernel, totals) = (read.kernel, read.totals);
        let mut calls = Calls::read(&self.calls);
        self.sampling
            .observe(read.level, &sampling::outside(&totals), &totals.unmatched);
        let sums = self.reader.holdings().sums;
        let passed_over = self.sampling.passed_over(&sampling::outside(&totals));
        let outstanding = Outstanding::of(&sums, passed_over);
        let names_changed = self.directory.refresh(
            &wanted(self.reader.holdings(), &calls),
            &self.owners,
            &self.inspector,
            now,
        );
        let memory = |mapping| self.directory.memory(mapping);
        let files = &self.reader.holdings().files;
        let wants_walks = self.arming.wants(files, memory, sys::since_boot());
        self.writeback.wish(wants_walks);
        let paths_changed = self.functions.learn(&mut self.directory.registry);
        calls.name(&self.directory);
        self.note_losses(&totals, now);
        self.ends.note(
            self.reader.holdings(),
            &self.directory,
            &mut self.auditor,
            now,
        );
        let look = Look {
            at: now,
            ledger: outstanding.pins,
            kernel,
            kernel_age: read.kernel_age,
            moved: [moved(&before), moved(&totals)],
            unmatched: self.sampling.unmatched(),
            entered: self.auditor.audited().of(Cause::PinMissed) + self.continuity.found().pins,
            unbooked: totals.lost[Lost::TRUNCATED] + totals.lost[Lost::UNREADABLE],
            asleep: calls.pages,
        };
        self.balance = self.reconciler.look(&look);
        self.doubts.note_difference(
            &mut self.balance,
            &mut self.auditor,
            &mut self.reconciler,
            now,
        );
        // What a folio lacks may be on its way, or the census's to enter.
        let may_come = calls.count > 0 || self.continuity.is_under_way();
        let gone = totals.pages_released + totals.pages_unreferenced + totals.pages_rolled_back;
        self.audit(may_come, sums.hints, gone, now);
        let present = self.ends.present(self.reader.holdings(), &self.auditor);
        let suspects_changed = self.suspects.observe(now, &present);
        let one_in = 1 << self.reader.from();
        let is_scaled = one_in > 1 || self.book.one_in != one_in;
        if read.is_changed || names_changed || paths_changed || suspects_changed || is_scaled {
            self.book =
                Arc::new(
                    self.make_book(self.reader.holdings(), one_in, outstanding.pins, &|_| true),
                );
        }
        if self.balance.preexisting == 0 && !self.continuity.is_under_way() {
            clones::forget_old(&self.settings, &self.directory, self.reader.owners());
        }
        let folios = self.reader.holdings().sums.folios;
        self.sampling
            .adjust(&self.settings, folios, self.ledger.capacity());
        self.directory
            .registry
            .retire(&self.owners, &self.reader.owners().collect());
        Ok(self.snapshot(at, totals, kernel, outstanding, calls))
    }

    /// Rows of a selection, made when they are asked for.
    pub(crate) fn select(&self, selection: Selection) -> Book {
        let from = self.complete_from();
        // Where the probes have begun to pass over what it has.
        let read = (from != self.reader.from()).then(|| held_since(&self.ledger, from, u64::MAX));
        let everything = read.as_ref().unwrap_or(self.reader.holdings());
        let aged = selection.aged(&self.ledger, from);
        let holdings = aged.as_ref().unwrap_or(everything);
        let outside = sampling::outside(&self.counters.totals());
        let all = self.reader.holdings().sums.pins + self.sampling.passed_over(&outside);
        let pins = selection::part(holdings, everything) * all as f64;
        let shows = |owner| !selection.suspects || !self.suspects.of(owner).is_empty();
        self.make_book(holdings, 1 << from, pins.round() as u64, &shows)
    }

    fn make_book(
        &self,
        holdings: &Holdings,
        one_in: u64,
        pins: u64,
        shows: &dyn Fn(u32) -> bool,
    ) -> Book {
        let sources = Sources {
            holdings,
            directory: &self.directory,
            suspects: &self.suspects,
            one_in,
            pins,
        };
        Book::of(&sources, shows)
    }

    fn audit(&mut self, may_come: bool, hints: u64, gone: u64, now: Duration) {
        let directory = &self.directory;
        let around = Around {
            has_ended: &|owner| directory.life(owner) == Life::Ended,
            may_come,
            complete_from: self.complete_from(),
            bits: self.bits,
        };
        let ledger = auditor::Ledger::of(&self.ledger, &self.inspector);
        let off = self.doubts.off(&self.balance, &self.auditor);
        self.auditor.tick(ledger, around, off, now);
        self.auditor.clean_hints(ledger, hints, gone, now);
    }

    fn enter_preexisting(&mut self) {
        let calls = Calls::read(&self.calls);
        let from = self.complete_from();
        self.continuity.tick(World {
            ledger: auditor::Ledger::of(&self.ledger, &self.inspector),
            owners: &self.owners,
            registry: &mut self.directory.registry,
            bits: self.bits,
            from,
            asleep_since: calls.oldest.first().map(|it| it.since_ns),
        });
    }

    /// The first stratum of which the ledger has all, as far as that is known now.
    fn complete_from(&self) -> usize {
        let level = sampling::passed_over_below(self.settings.level());
        self.reader.from().max(level)
    }

    fn snapshot(
        &self,
        [at, at_unix]: [Duration; 2],
        totals: CpuCounters,
        kernel: PinCounts,
        outstanding: Outstanding,
        calls: Calls,
    ) -> Snapshot {
        let made_up = || self.counters.totals().fallback_runs;
        let misses = self.programs.misses_at_least(made_up);
        let mut lost = totals.lost;
        lost[Lost::UNKNOWN_RELEASE] = self.sampling.unmatched();
        lost[Lost::HOOK_MISSED] = misses.all();
        lost[Lost::HOOK_SILENT] = self.seeing.looks();
        let suspects = Reason::ALL.map(|it| (it, self.suspects.count(it)));
        Snapshot {
            agent: Arc::clone(&self.fixed),
            at,
            at_unix,
            totals,
            lost,
            missed: misses.by_hook(),
            silent: self.seeing.silent().clone(),
            kernel,
            kernel_since_start: kernel.since(self.started),
            balance: self.balance,
            outstanding,
            calls,
            armed: self.writeback.now(),
            audited: self.auditor.audited(),
            found: self.continuity.found().clone(),
            book: Arc::clone(&self.book),
            suspects: BTreeMap::from(suspects),
            hold_times: self.directory.registry.hold_times(),
            owners: self.directory.registry.count(),
            unnamed_paths: self.functions.unnamed(),
            delivered: self.judging.delivered(),
            findings: Arc::new(self.judging.findings()),
            reloaded: self.reloaded,
        }
    }

    /// From the next tick on these hold.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        self.arming
            .adjust(tuning.writeback_hooks, tuning.writeback_calm);
        self.suspects.adjust(tuning.old_after);
        self.reloaded = tuning.reloaded;
    }

    /// Tells what is not told yet, and ends the recording, if there is one.
    pub(crate) fn finish(&mut self) -> Result<(), AgentError> {
        self.auditor.tell_rest();
        self.judging.finish()
    }
}
