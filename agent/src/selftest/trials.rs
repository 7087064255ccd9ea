//! The trials: each takes references in one known way and gives them back in another.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Observation,
    evidence::{Taken, Witness},
    memory::{
        self, OnDisk, PAGES, anonymous_pages, file_pages, read_across, read_by_address,
        read_directly, splice, write_across,
    },
    uring::FixedBuffer,
    zero_page::acquired,
};
use crate::{
    attach::{CountedRuns, HookState, Programs},
    books::Books,
    owners::Owners,
};

/// Completed I/O gives references back a moment after the reader was woken.
const PATIENCE: Duration = Duration::from_millis(100);

/// A run of a probe may be skipped for an interrupt: once more, then it is believed.
const TRIES: u32 = 2;

const REMOTE: &str = "pin_user_pages_remote";
const BY_PAGE_OR_FOLIO: &[&str] = &["unpin_user_page", "unpin_user_folio"];

/// One way to take references and give them back.
struct Trial<'a> {
    /// Hooks of which one sees them taken.
    takes: &'a [&'static str],
    /// Hooks of which one sees pins (or plain references) given back.
    gives_pins: &'a [&'static str],
    gives_references: &'a [&'static str],
    /// Whether the kernel took what it was asked to, if the call succeeded.
    is_sure: bool,
}

/// What was learned so far.
pub(super) struct Trials<'a> {
    pub(super) witness: Witness<'a>,
    served: HashSet<&'static str>,
    programs: &'a Programs,
    /// Absent where the kernel does not count for this process.
    counted: Option<CountedRuns>,
    observations: Vec<Observation>,
    reasons: BTreeMap<&'static str, String>,
    /// Keys of all memory that was worked on, and whether they were looked for
    /// since other memory is.
    keys: HashSet<u64>,
    looked_for_keys: bool,
    /// Flags of a call for writing and of one for long, as the hooks saw them.
    write: Option<u32>,
    long: Option<u32>,
    pub(super) disk: io::Result<OnDisk>,
}

impl<'a> Trials<'a> {
    pub(super) fn new(
        hooks: &[HookState],
        books: &'a Books,
        owners: &'a Owners,
        programs: &'a Programs,
    ) -> io::Result<Self> {
        Ok(Self {
            witness: Witness::new(books, owners)?,
            served: hooks
                .iter()
                .filter_map(|it| it.serving.map(|_| it.name))
                .collect(),
            programs,
            counted: CountedRuns::begin(),
            observations: Vec::new(),
            reasons: BTreeMap::new(),
            keys: HashSet::new(),
            looked_for_keys: false,
            write: None,
            long: None,
            disk: OnDisk::make(),
        })
    }

    pub(super) fn serves(&self, hook: &str) -> bool {
        self.served.contains(hook)
    }

    /// Whatever any process may do.
    pub(super) fn run(&mut self) {
        if let Err(error) = self.on_file_pages() {
            self.untested(&[REMOTE], format!("no memory to pin: {error}"));
        }
        if let Err(error) = self.on_anonymous_pages() {
            self.untested(&["pin_user_pages"], format!("no memory to pin: {error}"));
        }
    }

    fn on_file_pages(&mut self) -> io::Result<()> {
        let mut pages = file_pages()?;
        let mut trial = Trial {
            takes: &[REMOTE],
            gives_pins: &["unpin_user_pages"],
            gives_references: &[],
            is_sure: true,
        };
        self.transient(&trial, || read_across(&pages));
        trial.gives_pins = &["unpin_user_pages_dirty_lock"];
        let taken = self.transient(&trial, || write_across(&mut pages));
        self.write = only_flags(&taken);
        trial.takes = &["get_user_pages_remote"];
        self.transient(&trial, || read_by_address(&pages));
        self.directly(&mut pages);
        // The kernel gives the pages themselves back without a hook.
        let mapped = self.runs();
        drop(pages);
        self.unmapped(mapped);
        Ok(())
    }

    fn on_anonymous_pages(&mut self) -> io::Result<()> {
        let mut pages = anonymous_pages()?;
        self.looked_for_keys = false;
        let mut trial = Trial {
            takes: &["pin_user_pages", "pin_user_pages_fast"],
            gives_pins: BY_PAGE_OR_FOLIO,
            gives_references: &[],
            is_sure: true,
        };
        let taken = self.held(
            &trial,
            || FixedBuffer::register(&mut pages),
            FixedBuffer::unregister,
        );
        self.long = only_flags(&taken);
        trial.takes = &["get_user_pages_fast"];
        trial.gives_pins = &[];
        self.transient(&trial, || splice(&pages));
        Ok(())
    }

    /// A direct read, of the file on disk or else of the program's own.
    fn directly(&mut self, pages: &mut [u8]) {
        let trial = Trial {
            takes: &["pin_user_pages_fast", "get_user_pages_fast"],
            gives_pins: BY_PAGE_OR_FOLIO,
            gives_references: &["bio_release"],
            is_sure: false,
        };
        let file = match &self.disk {
            Ok(disk) => disk.direct.as_ref().and_then(|it| it.try_clone().ok()),
            Err(_) => None,
        };
        let Some(file) = file.or_else(memory::program) else {
            let why =
                "no file on a disk to be read directly (TMPDIR, /var/tmp, the program itself)";
            for hooks in [trial.takes, trial.gives_pins, trial.gives_references] {
                self.untested(hooks, why.to_owned());
            }
            return;
        };
        let taken = self.transient(&trial, || read_directly(&file, pages));
        // What is read into memory writes to it.
        self.write = self.write.or_else(|| only_flags(&taken));
    }

    /// Where the kernel says how often programs ran.
    fn unmapped(&mut self, before: Option<HashMap<&'static str, u64>>) {
        const HOOK: &str = "mapcount_decrement";
        if !self.serves(HOOK) {
            return;
        }
        let seen = match self.ran_since(before.as_ref(), &[HOOK]) {
            None => return self.untested(&[HOOK], ONLY_ROOT.to_owned()),
            Some(ran) if ran.is_empty() => Err(format!("{PAGES} pages were unmapped, it saw none")),
            Some(ran) => Ok(ran),
        };
        self.observations.push(Observation {
            about: vec![HOOK],
            seen,
        });
    }

    /// What is taken and given back in one call.
    fn transient(&mut self, trial: &Trial<'_>, act: impl FnMut() -> io::Result<()>) -> Taken {
        self.held(trial, act, |()| Ok(()))
    }

    /// What is held in between.
    fn held<T>(
        &mut self,
        trial: &Trial<'_>,
        mut take: impl FnMut() -> io::Result<T>,
        mut give: impl FnMut(T) -> io::Result<()>,
    ) -> Taken {
        let mut taken = Taken::new();
        if !trial.takes.iter().any(|it| self.serves(it)) {
            return taken;
        }
        for attempt in 1..=TRIES {
            let outcome = self.once(trial, &mut take, &mut give);
            match outcome {
                Err(error) => {
                    for hooks in [trial.takes, trial.gives_pins, trial.gives_references] {
                        self.untested(hooks, format!("the call for it was refused: {error}"));
                    }
                    return taken;
                }
                Ok((seen, found)) => {
                    taken = seen;
                    let is_well = found.iter().all(|it| it.seen.is_ok());
                    if is_well || attempt == TRIES {
                        self.observations.extend(found);
                        return taken;
                    }
                }
            }
        }
        taken
    }

    fn once<T>(
        &mut self,
        trial: &Trial<'_>,
        take: &mut impl FnMut() -> io::Result<T>,
        give: &mut impl FnMut(T) -> io::Result<()>,
    ) -> io::Result<(Taken, Vec<Observation>)> {
        let before = self.witness.taken();
        let counted = (!trial.is_sure).then(|| acquired().ok()).flatten();
        let ran_before = self.runs();
        let holding = take()?;
        let taken = self.witness.taken_since(&before);
        let pages = sum(&taken, trial.takes);
        if pages > 0 && !self.looked_for_keys {
            self.look_for_keys();
        }
        give(holding)?;
        let left = self.wait_for_release(trial, &taken);
        let about = self.served_of(trial.takes);
        let names: Vec<_> = taken.keys().map(|(function, _)| *function).collect();
        let all = PAGES as u64;
        if pages == 0 && !trial.is_sure && !kernel_pinned(counted) {
            self.untested(
                trial.takes,
                "the kernel did otherwise than was meant".to_owned(),
            );
            return Ok((taken, Vec::new()));
        }
        if pages != all {
            let seen = Err(format!("{all} pages were taken, it saw {pages}"));
            return Ok((taken, vec![Observation { about, seen }]));
        }
        let mut found = vec![Observation {
            about,
            seen: Ok(names),
        }];
        let about = self.served_of(gives(trial, &taken));
        if about.is_empty() {
            return Ok((taken, found));
        }
        let seen = match left {
            0 if about.len() == 1 => Ok(about.clone()),
            0 => match self.ran_since(ran_before.as_ref(), &about) {
                Some(ran) => Ok(ran),
                None => {
                    self.untested(&about, ONLY_ROOT.to_owned());
                    Ok(Vec::new())
                }
            },
            left => Err(format!(
                "{all} pages were given back, it saw {}",
                all.saturating_sub(left)
            )),
        };
        found.push(Observation { about, seen });
        Ok((taken, found))
    }

    /// Finds where in the ledger the memory is that is worked on just now.
    pub(super) fn look_for_keys(&mut self) {
        self.keys.extend(self.witness.keys());
        self.looked_for_keys = true;
    }

    /// References in our name that are left when no more are given back.
    fn wait_for_release(&self, trial: &Trial<'_>, taken: &Taken) -> u64 {
        if gives(trial, taken).is_empty() {
            // Their release has no hook.
            self.witness.forget(&self.keys);
            return 0;
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = self.witness.held(&self.keys);
            if left == 0 {
                return 0;
            }
            if Instant::now() > until {
                self.witness.forget(&self.keys);
                return left;
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn served_of(&self, hooks: &[&'static str]) -> Vec<&'static str> {
        let served = hooks.iter().copied().filter(|it| self.serves(it));
        served.collect()
    }

    fn runs(&self) -> Option<HashMap<&'static str, u64>> {
        self.counted.as_ref().map(|_| self.programs.runs())
    }

    /// Which of the hooks ran since; `None` where the kernel does not say.
    fn ran_since(
        &self,
        before: Option<&HashMap<&'static str, u64>>,
        hooks: &[&'static str],
    ) -> Option<Vec<&'static str>> {
        let (before, after) = (before?, self.runs()?);
        let runs = |all: &HashMap<&str, u64>, hook: &str| all.get(hook).copied().unwrap_or(0);
        let ran = hooks.iter().copied();
        Some(
            ran.filter(|hook| runs(&after, hook) > runs(before, hook))
                .collect(),
        )
    }

    pub(super) fn untested(&mut self, hooks: &[&'static str], why: String) {
        for hook in hooks {
            self.reasons.insert(hook, why.clone());
        }
    }

    /// The bit that a call for long has and one for writing has not: io_uring pins
    /// its buffers with both, on every kernel, and `process_vm_writev()` (or a direct
    /// read, where that one is not seen) with the second only. Anything but one bit
    /// is not understood.
    pub(super) fn longterm_flag(&self) -> Option<u32> {
        let flag = self.long? & !self.write?;
        flag.is_power_of_two().then_some(flag)
    }

    /// What was seen, and why the rest was not.
    pub(super) fn end(self) -> (Vec<Observation>, BTreeMap<&'static str, String>) {
        self.witness.forget(&self.keys);
        (self.observations, self.reasons)
    }
}

/// Why it is not told which of two hooks saw a thing.
const ONLY_ROOT: &str = "only root is told how often its program runs";

fn gives<'a>(trial: &Trial<'a>, taken: &Taken) -> &'a [&'static str] {
    if taken
        .keys()
        .any(|(function, _)| function.starts_with("get_"))
    {
        trial.gives_references
    } else {
        trial.gives_pins
    }
}

/// Pages taken by the functions that were meant, or else by whichever it was: a
/// kernel may do it another way.
fn sum(taken: &Taken, meant: &[&str]) -> u64 {
    let mut by_them = taken
        .iter()
        .filter(|((it, _), _)| meant.contains(it))
        .peekable();
    if by_them.peek().is_some() {
        by_them.map(|(_, pages)| pages).sum()
    } else {
        taken.values().sum()
    }
}

fn only_flags(taken: &Taken) -> Option<u32> {
    let mut flags = taken.keys().map(|(_, flags)| *flags);
    let first = flags.next()?;
    flags.next().is_none().then_some(first)
}

/// Whether the kernel counted as many pins since; others' count as well.
fn kernel_pinned(before: Option<u64>) -> bool {
    let (Some(before), Ok(after)) = (before, acquired()) else {
        return false;
    };
    after.saturating_sub(before) >= PAGES as u64
}
