//! The collector: everything that the agent knows, brought up to date once a second.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aya::maps::{MapData, RingBuf};
use hooks::{Family, HOOKS, MAPCOUNT_DECREMENT, PTES_FOUND, ZAP};
use log::{debug, info, warn};
use probe_abi::{ABSENT, CpuCounters, Layout, Lost, MkcleanSample, folio_key, opened_at};
use verdicts::{Inputs, Judge, Losses, contradicts};

use super::{
    audit::{Around, Cause, FlagBits},
    auditor::{self, Auditor},
    book::{Book, Sources},
    calls::Calls,
    doubts::{Doubts, Unseen},
    holdings::{Adder, Holdings, held_since},
    hooks::Hook,
    reconcile::{Balance, Look, Reconciler},
    recorder::{self, Recorder},
    sampling::{self, Sampling},
    seeing::Seeing,
    snapshot::{Fixed, Outstanding, Snapshot},
};
use crate::{
    error::AgentError,
    kernel::{
        attach::Programs,
        inspect::Inspector,
        maps::{CallTable, Counters, LedgerView, OwnerTable, Settings},
        sys,
        vmstat::{self, PinCounts},
    },
    owners::{
        directory::{Directory, Wanted},
        processes::Life,
        registry::Registry,
        suspects::{Present, Reason, Suspects},
        symbols::Symbols,
    },
    selftest::Evidence,
};

/// What the collector works with.
pub(crate) struct Parts {
    pub(crate) hooks: Vec<Hook>,
    pub(crate) self_test: Duration,
    pub(crate) layout: Layout,
    pub(crate) counters: Counters,
    pub(crate) ledger: LedgerView,
    pub(crate) owners: OwnerTable,
    pub(crate) calls: CallTable,
    pub(crate) inspector: Inspector,
    pub(crate) settings: Settings,
    pub(crate) programs: Programs,
    pub(crate) longterm_flag: Option<u32>,
    /// Pins count as old after this.
    pub(crate) old_after: Duration,
}

/// Which pins rows are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Held for at least so long.
    pub(crate) min_age: Duration,
    /// Of owners that are suspected.
    pub(crate) suspects: bool,
}

/// Samples that are judged together.
const BATCH: usize = 4096;

/// A module's functions get their names so many seconds later at most.
const SYMBOLS_EVERY: u32 = 10;

pub(crate) struct Collector {
    fixed: Arc<Fixed>,
    counters: Counters,
    ledger: LedgerView,
    owners: OwnerTable,
    calls: CallTable,
    inspector: Inspector,
    settings: Settings,
    programs: Programs,
    bits: FlagBits,

    directory: Directory,
    suspects: Suspects,
    adder: Adder,
    sampling: Sampling,
    auditor: Auditor,
    reconciler: Reconciler,
    judge: Judge,
    recorder: Option<Recorder>,
    delivered: u64,
    book: Arc<Book>,
    started: PinCounts,
    balance: Balance,
    doubts: Doubts,
    seeing: Seeing,
    ended: HashMap<u32, Duration>,
    symbols: Option<JoinHandle<io::Result<Symbols>>>,
    since_symbols: u32,
}

impl Collector {
    pub(crate) fn new(parts: Parts) -> Result<Self, AgentError> {
        let Parts {
            hooks,
            self_test,
            layout,
            counters,
            ledger,
            owners,
            calls,
            inspector,
            settings,
            programs,
            longterm_flag,
            old_after,
        } = parts;
        let sees = |name| hooks.iter().any(|it| it.state.name == name && it.sees());
        let inputs = Inputs {
            ptes: sees(PTES_FOUND),
            zaps: sees(ZAP) && sees(MAPCOUNT_DECREMENT),
        };
        vmstat::refresh();
        let started = inspector.pins().map_or_else(PinCounts::read, Ok)?;
        let registry = Registry::new(longterm_flag);
        let fixed = Fixed {
            head: recorder::head(&hooks, inputs, ledger.capacity()),
            hooks,
            self_test,
            ledger_slots: ledger.capacity(),
            owners_limit: owners.capacity(),
        };
        let fixed = Arc::new(fixed);
        let bit = |it: u32| if it == ABSENT { u32::MAX } else { it };
        Ok(Self {
            fixed: Arc::clone(&fixed),
            judge: Judge::new(ledger.capacity() as usize, inputs),
            bits: FlagBits {
                private: bit(layout.pg_private),
                swap_cache: bit(layout.pg_swapcache),
            },
            counters,
            ledger,
            owners,
            calls,
            inspector,
            settings,
            programs,
            directory: Directory::new(registry),
            suspects: Suspects::new(old_after),
            adder: Adder::default(),
            sampling: Sampling::default(),
            auditor: Auditor::default(),
            reconciler: Reconciler::default(),
            recorder: None,
            delivered: 0,
            book: Arc::default(),
            started,
            balance: Balance::default(),
            doubts: Doubts::default(),
            seeing: Seeing::new(&fixed.hooks, sys::awake()),
            ended: HashMap::new(),
            symbols: None,
            since_symbols: SYMBOLS_EVERY,
        })
    }

    /// From now on samples go into a recording, too.
    pub(crate) fn record(&mut self, file: File) -> io::Result<()> {
        self.recorder = Some(Recorder::begin(file, &self.fixed.head)?);
        Ok(())
    }

    /// Judges what the ring holds. Fails where it cannot be recorded.
    pub(crate) fn drain(&mut self, ring: &mut RingBuf<MapData>) -> io::Result<()> {
        loop {
            let mut samples = Vec::new();
            while samples.len() < BATCH
                && let Some(bytes) = ring.next()
            {
                match bytemuck::try_pod_read_unaligned::<MkcleanSample>(&bytes) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => warn!("a sample of {} bytes: {error}", bytes.len()),
                }
            }
            if samples.is_empty() {
                return Ok(());
            }
            // After them: what was lost before any of them was sent is known now.
            self.tell_losses()?;
            for sample in &samples {
                self.judge(sample)?;
            }
        }
    }

    fn judge(&mut self, sample: &MkcleanSample) -> io::Result<()> {
        self.delivered += 1;
        self.judge.judge(sample);
        if contradicts(sample) {
            self.auditor.suspect(folio_key(sample.folio));
        }
        match &mut self.recorder {
            Some(recorder) => recorder.sample(sample),
            None => Ok(()),
        }
    }

    fn tell_losses(&mut self) -> io::Result<()> {
        let totals = self.counters.totals();
        let now = sys::awake();
        self.note_losses(&totals, now);
        let losses = Losses {
            samples: totals.lost[Lost::RING_FULL],
            pages: self.doubts.lacking(&self.balance, now),
            at: opened_at(sys::since_boot().as_nanos() as u64),
        };
        let before = self.judge.losses();
        if (losses.samples, losses.pages) == (before.samples, before.pages) {
            return Ok(());
        }
        debug!("lost so far: {losses:?}");
        self.judge.lose(losses);
        match &mut self.recorder {
            Some(recorder) => recorder.losses(losses),
            None => Ok(()),
        }
    }

    fn note_losses(&mut self, totals: &CpuCounters, now: Duration) {
        let misses = self.programs.misses(totals.fallback_runs);
        let unseen = Unseen {
            of_pins: misses.of(|hook| family(hook) == Some(Family::Gup)),
            of_all: misses.all(),
            silences: self.seeing.looks(),
        };
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
        self.seeing.look(&self.fixed.hooks, evidence, now);
        // Before anything is read: what is shown is no older than it says.
        let at = [sys::since_boot(), since_1970()];
        let before = self.counters.totals();
        let (is_changed, level) = self.add_up();
        let kernel = self.inspector.pins();
        let kernel_age = if kernel.is_some() {
            Duration::ZERO
        } else {
            vmstat::interval()
        };
        let kernel = kernel.map_or_else(PinCounts::read, Ok)?;
        let totals = self.counters.totals();
        let mut calls = Calls::read(&self.calls);
        self.sampling
            .observe(level, &outside(&totals), &totals.unmatched);
        let sums = self.adder.holdings().sums;
        let passed_over = self.sampling.passed_over(&outside(&totals));
        let names_changed =
            self.directory
                .refresh(&self.wanted(&calls), &self.owners, &self.inspector, now);
        calls.name(&self.directory);
        self.note_losses(&totals, now);
        self.note_ends(now);
        let look = Look {
            at: now,
            ledger: sums.pins + passed_over,
            kernel,
            kernel_age,
            moved: [moved(&before), moved(&totals)],
            unmatched: self.sampling.unmatched(),
            entered: self.auditor.audited().of(Cause::PinMissed),
            unbooked: totals.lost[Lost::TRUNCATED] + totals.lost[Lost::UNREADABLE],
            asleep: calls.pages,
        };
        self.balance = self.reconciler.look(&look);
        let (auditor, reconciler) = (&mut self.auditor, &mut self.reconciler);
        self.doubts
            .note_difference(&mut self.balance, auditor, reconciler, now);
        self.audit(calls.count > 0, sums.hints, now);
        let suspects_changed = self.observe_suspects(now);
        let pins = sums.pins + passed_over;
        let one_in = 1 << self.adder.from();
        let is_scaled = one_in > 1 || self.book.one_in != one_in;
        if is_changed || names_changed || suspects_changed || is_scaled {
            self.book = Arc::new(self.make_book(self.adder.holdings(), one_in, pins, &|_| true));
        }
        self.adjust_level();
        self.directory
            .registry
            .retire(&self.owners, &self.adder.owners().collect());
        self.learn_symbols();
        let outstanding = Outstanding {
            pins,
            passed_over,
            references: sums.references,
            slots_used: sums.slots,
        };
        Ok(self.snapshot(at, totals, kernel, outstanding, calls))
    }

    /// Reads what the ledger holds: of the strata that are complete, as far as the probes have not
    /// begun to pass one over meanwhile. Whether it is something else than before, and their level.
    fn add_up(&mut self) -> (bool, u64) {
        let mut is_changed = false;
        loop {
            let level = self.settings.level();
            let from = self.sampling.from().max(sampling::passed_over_below(level));
            is_changed |= self.adder.add_up(&self.ledger, from);
            if self.settings.level() <= level {
                return (is_changed, level);
            }
        }
    }

    /// Rows of a selection, made when they are asked for.
    pub(crate) fn select(&self, selection: Selection) -> Book {
        let level = sampling::passed_over_below(self.settings.level());
        let from = self.adder.from().max(level);
        let now = sys::since_boot();
        let latest = now.saturating_sub(selection.min_age).as_nanos() as u64;
        let (read, aged);
        let everything = if from == self.adder.from() {
            self.adder.holdings()
        } else {
            // The probes have begun to pass over what it has.
            read = held_since(&self.ledger, from, u64::MAX);
            &read
        };
        let holdings = if selection.min_age.is_zero() {
            everything
        } else {
            aged = held_since(&self.ledger, from, latest);
            &aged
        };
        // Of what is that old, the pins are known of the sample only.
        let part =
            holdings.sums.sampled_pins as f64 / (everything.sums.sampled_pins as f64).max(1.0);
        let passed_over = self.sampling.passed_over(&outside(&self.counters.totals()));
        let all = (self.adder.holdings().sums.pins + passed_over) as f64;
        let pins = (all * part.min(1.0)).round() as u64;
        let shows = |owner| !selection.suspects || !self.suspects.of(owner).is_empty();
        self.make_book(holdings, 1 << from, pins, &shows)
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

    /// What has to have a name.
    fn wanted(&self, calls: &Calls) -> Wanted {
        let mut wanted = Wanted {
            callers: calls.callers(),
            ..Wanted::default()
        };
        let shared = self.adder.holdings().shared.keys().flat_map(|it| &it.parts);
        let shared = shared.map(|(holder, _)| (holder, 0));
        let holders = self.adder.holdings().by_holder.iter();
        for (holder, key) in holders.map(|(it, holding)| (it, holding.key)).chain(shared) {
            wanted.owners.insert(holder.owner);
            wanted.memcgs.insert(holder.memcg);
            wanted.mappings.entry(holder.mapping).or_insert(key);
        }
        wanted
    }

    /// Whose process has ended: its pins are looked for in the kernel before it is suspected.
    fn note_ends(&mut self, now: Duration) {
        let owners: HashSet<u32> = self
            .adder
            .holdings()
            .by_holder
            .keys()
            .map(|it| it.owner)
            .filter(|it| self.directory.life(*it) == Life::Ended)
            .collect();
        self.ended.retain(|owner, _| owners.contains(owner));
        for owner in owners {
            self.ended.entry(owner).or_insert(now);
        }
        let is_unsettled = |since: &Duration| !self.auditor.has_settled_since(*since);
        if self.ended.values().any(is_unsettled) {
            self.auditor.hurry(now);
        }
    }

    fn audit(&mut self, calls_sleep: bool, hints: u64, now: Duration) {
        let directory = &self.directory;
        let around = Around {
            has_ended: &|owner| directory.life(owner) == Life::Ended,
            calls_sleep,
            bits: self.bits,
        };
        let ledger = auditor::Ledger {
            view: &self.ledger,
            inspector: &self.inspector,
        };
        self.auditor.tick(ledger, around, now);
        self.auditor.clean_hints(ledger, hints, now);
    }

    fn observe_suspects(&mut self, now: Duration) -> bool {
        let boot = sys::since_boot();
        let mut present: HashMap<u32, Present> = HashMap::new();
        for (holder, holding) in &self.adder.holdings().by_holder {
            let oldest = boot.saturating_sub(Duration::from_nanos(holding.since_ns));
            let ended = self.ended.get(&holder.owner);
            let owner = present.entry(holder.owner).or_insert(Present {
                pins: 0,
                oldest,
                is_dead: ended.is_some_and(|it| self.auditor.has_settled_since(*it)),
            });
            owner.pins += holding.pins;
            owner.oldest = owner.oldest.max(oldest);
        }
        self.suspects.observe(now, &present)
    }

    fn adjust_level(&self) {
        let level = self.settings.level();
        let folios = self.adder.holdings().sums.folios;
        let Some(to) = self.sampling.lower(folios, self.ledger.capacity()) else {
            return;
        };
        if self.settings.lower(level) {
            info!("the ledger has room: it keeps one folio in {}", 1_u64 << to);
        }
    }

    /// Reads the kernel's list of functions when there are addresses that it has no name for.
    fn learn_symbols(&mut self) {
        self.since_symbols = self.since_symbols.saturating_add(1);
        if let Some(reading) = self.symbols.take_if(|it| it.is_finished()) {
            match reading.join() {
                Ok(Ok(symbols)) => self.directory.registry.learn_symbols(symbols),
                Ok(Err(error)) => warn!("call paths have no names: /proc/kallsyms: {error}"),
                Err(_panic) => warn!("call paths have no names: reading them failed"),
            }
        }
        let is_due = self.since_symbols >= SYMBOLS_EVERY && self.symbols.is_none();
        if is_due && self.directory.registry.wants_symbols() {
            self.since_symbols = 0;
            self.symbols = Some(std::thread::spawn(Symbols::read));
        }
    }

    fn snapshot(
        &self,
        [at, at_unix]: [Duration; 2],
        totals: CpuCounters,
        kernel: PinCounts,
        outstanding: Outstanding,
        calls: Calls,
    ) -> Snapshot {
        let misses = self.programs.misses(totals.fallback_runs);
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
            audited: self.auditor.audited(),
            book: Arc::clone(&self.book),
            suspects: BTreeMap::from(suspects),
            hold_times: self.directory.registry.hold_times(),
            owners: self.directory.registry.count(),
            delivered: self.delivered,
            findings: Arc::new(self.judge.findings()),
        }
    }

    /// Ends the recording, if there is one.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self.recorder.take() {
            Some(recorder) => recorder.finish(),
            None => Ok(()),
        }
    }
}

fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Pages that the probes saw pinned and released, together.
fn moved(totals: &CpuCounters) -> u64 {
    totals
        .pages_pinned
        .wrapping_add(totals.pages_unpinned)
        .wrapping_add(totals.pages_rolled_back)
}

fn outside(totals: &CpuCounters) -> [i64; probe_abi::STRATA] {
    totals.passed_over.map(u64::cast_signed)
}

fn family(hook: &str) -> Option<Family> {
    HOOKS.iter().find(|it| it.name == hook).map(|it| it.family)
}
