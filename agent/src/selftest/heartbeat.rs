//! Whether the hooks still see what they saw at the start: one page is pinned and released, and
//! one page of a file is cleaned. A hook may fall silent without a word from the kernel, as when
//! somebody switches tracing off or takes a probe away.
//!
//! Leaves out hooks that this does not go through: they stay as the self-test left them.

use std::{collections::BTreeMap, io, time::Duration};

use memmap2::MmapMut;

use super::{
    deadline::Deadline,
    evidence::Witness,
    memory::{OnDisk, anonymous_page, read_across, touch, write_back},
    outcome::Tested,
};
use crate::kernel::{
    inspect::Inspector,
    maps::{Counters, LedgerView, OwnerTable},
};
use hooks::{Exercise, Family, Feeds, HOOKS};

/// A disk that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// A run of a probe may be skipped for an interrupt: once more, then it is believed.
const TRIES: u32 = 2;

/// What is read to tell what the hooks saw.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) counters: &'a Counters,
    pub(crate) ledger: &'a LedgerView,
    pub(crate) owners: &'a OwnerTable,
    pub(crate) inspector: &'a Inspector,
}

/// Memory to pin, a file to write, and the hooks that are to see it.
pub(crate) struct Heartbeat {
    page: MmapMut,
    disk: Option<OnDisk>,
    /// Hooks that passed the self-test by what is done here.
    pins: Vec<&'static str>,
    releases: Vec<&'static str>,
    walks: Vec<&'static str>,
}

impl Heartbeat {
    /// `tested`: what the self-test found of each attached hook.
    pub(crate) fn new<'a>(
        tested: impl Iterator<Item = (&'static str, &'a Tested)>,
    ) -> io::Result<Self> {
        let passed: Vec<_> = tested
            .filter(|(_, it)| **it == Tested::Passed)
            .map(|(name, _)| name)
            .collect();
        let feeding = |feeds| -> Vec<&'static str> {
            let hooks = HOOKS.iter().filter(|it| it.feeds == feeds);
            let named = hooks.map(|it| it.name);
            named.filter(|it| passed.contains(it)).collect()
        };
        let by_this = |hook: &&'static str| {
            hooks::hook(hook).is_some_and(|it| it.test.includes(Exercise::ProcessVmReadv))
        };
        let mut page = anonymous_page()?;
        touch(&mut page);
        let mut pins = feeding(Feeds::Pins);
        pins.retain(by_this);
        let mut releases = feeding(Feeds::PinsReleased);
        releases.retain(by_this);
        let mut walks = feeding(Feeds::Walks);
        walks.retain(|it| hooks::hook(it).is_some_and(|it| it.family == Family::Mkclean));
        let disk = if walks.is_empty() {
            None
        } else {
            Deadline::within(PATIENCE).act(OnDisk::make).ok()
        };
        Ok(Self {
            page,
            disk,
            pins,
            releases,
            walks,
        })
    }

    /// Hooks that saw nothing of it, and what they should have seen.
    ///
    /// `walks`: whether writeback's hooks are attached.
    pub(crate) fn silent(
        &self,
        evidence: Evidence<'_>,
        walks: bool,
    ) -> BTreeMap<&'static str, &'static str> {
        let mut silent = BTreeMap::new();
        for _ in 0..TRIES {
            silent = self.pin_a_page(evidence);
            if walks {
                silent.extend(self.clean_a_page(evidence));
            }
            if silent.is_empty() {
                break;
            }
        }
        silent
    }

    /// What cannot be done says nothing about the hooks.
    fn pin_a_page(&self, evidence: Evidence<'_>) -> BTreeMap<&'static str, &'static str> {
        let mut silent = BTreeMap::new();
        let Evidence {
            counters,
            ledger,
            owners,
            inspector,
        } = evidence;
        if let Ok(witness) = Witness::new(counters, ledger, owners, inspector)
            && !self.pins.is_empty()
        {
            let (before, released) = (witness.taken(), counters.totals().pages_released);
            if read_across(&self.page).is_ok() {
                if witness.taken_since(&before).is_empty() {
                    silent.extend(
                        self.pins
                            .iter()
                            .map(|it| (*it, "it did not see a page pinned")),
                    );
                }
                // Others release too, and show by that that the hook sees.
                if counters.totals().pages_released == released {
                    let missed = "it did not see a pin released";
                    silent.extend(self.releases.iter().map(|it| (*it, missed)));
                }
            }
        }
        silent
    }

    fn clean_a_page(&self, evidence: Evidence<'_>) -> BTreeMap<&'static str, &'static str> {
        let walked = || -> u64 { evidence.counters.totals().walks.iter().sum() };
        let before = walked();
        if self.write_a_page().is_ok() && walked() == before {
            let missed = "it did not see writeback clean a page";
            return self.walks.iter().map(|it| (*it, missed)).collect();
        }
        BTreeMap::new()
    }

    fn write_a_page(&self) -> io::Result<()> {
        let Some(disk) = &self.disk else {
            return Err(io::Error::other("no file on a disk"));
        };
        let mut page = disk.first_page()?;
        touch(&mut page);
        let file = disk.file.try_clone()?;
        Deadline::within(PATIENCE).act(move || write_back(&file))
    }
}
