//! How often the kernel ran a program, and how often it skipped one.
//!
//! It does the latter where a program would interrupt itself on the same CPU: an
//! interrupt on top of a probe, or (on preemptible kernels) another task. The
//! program counts what its own entry skipped, the link what the kprobe below it
//! did (Linux 6.7). aya shows neither, so the kernel is asked directly.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aya::{Ebpf, programs::ProgramFd};
use hooks::{Facts, is_fallback};

use super::{census, links::Links};
use crate::{
    error::AgentError,
    kernel::{census::Walker, sys::bpf},
};

/// Runs that the kernel skipped and nothing made up for, by hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Misses(BTreeMap<&'static str, u64>);

impl Misses {
    /// As many as there have been told already, by hook: what made up for a run may be counted, and
    /// the run not, and these are counters.
    fn or_as_told(mut self, told: &mut Self) -> Self {
        for (hook, runs) in &mut self.0 {
            let told = told.0.entry(hook).or_default();
            *told = (*told).max(*runs);
            *runs = *told;
        }
        self
    }

    /// Of all hooks.
    pub(crate) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Of those hooks that `counts` picks.
    pub(crate) fn of(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let counted = self.0.iter().filter(|(hook, _)| counts(hook));
        counted.map(|(_, runs)| runs).sum()
    }

    /// Each by itself.
    pub(crate) fn by_hook(self) -> BTreeMap<&'static str, u64> {
        self.0
    }
}

/// The loaded programs, to be asked again and again.
pub(crate) struct Programs {
    /// Programs of each hook that is attached.
    of_hooks: Vec<OfHook>,
    /// Loaded for as long as this lives, and attached.
    ebpf: Ebpf,
    links: Arc<Links>,
    told: Mutex<Told>,
}

/// What was told: it only grows.
#[derive(Default)]
struct Told {
    at_most: Misses,
    at_least: Misses,
}

/// A program of a hook.
struct OfHook {
    hook: &'static str,
    program: ProgramFd,
    /// What it is kept from, the program before it has done.
    is_fallback: bool,
}

impl Programs {
    /// `attached`: hooks and the names of their programs.
    pub(super) fn new(ebpf: Ebpf, links: Arc<Links>, attached: &[(&'static str, String)]) -> Self {
        let of_hooks = attached
            .iter()
            .filter_map(|(hook, name)| {
                let program = ebpf.program(name)?.fd().ok()?.try_clone().ok()?;
                Some(OfHook {
                    hook,
                    program,
                    is_fallback: is_fallback(name),
                })
            })
            .collect();
        Self {
            of_hooks,
            ebpf,
            links,
            told: Mutex::default(),
        }
    }

    /// What walks over all memory, loaded now: only who takes a census needs it.
    pub(crate) fn walker(&mut self, facts: &Facts) -> Result<Walker, AgentError> {
        census::load(&mut self.ebpf, facts)
    }

    /// How often each hook's programs have run while runs were counted; of two the
    /// one that ran less.
    pub(crate) fn runs(&self) -> HashMap<&'static str, u64> {
        let mut runs = HashMap::new();
        for it in &self.of_hooks {
            let count = bpf::program_info(&it.program).map_or(0, |it| it.run_cnt);
            let least = runs.entry(it.hook).or_insert(count);
            *least = count.min(*least);
        }
        runs
    }

    /// Runs skipped so far and not made up for, at most; those that the kernel does not count are
    /// not among them.
    ///
    /// `made_up`: of releases, read before. What was skipped and made up for since then counts as
    /// missed.
    pub(crate) fn misses_at_most(&self, made_up: u64) -> Misses {
        let mut misses = self.skipped();
        self.make_up(&mut misses, made_up);
        misses.or_as_told(&mut self.told().at_most)
    }

    /// The same, at least: `made_up` is read afterwards. When all is calm, there is no difference.
    pub(crate) fn misses_at_least(&self, made_up: impl FnOnce() -> u64) -> Misses {
        let mut misses = self.skipped();
        self.make_up(&mut misses, made_up());
        misses.or_as_told(&mut self.told().at_least)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the kernel says.
    fn skipped(&self) -> Misses {
        let mut misses = self.links.missed();
        for it in self.of_hooks.iter().filter(|it| !it.is_fallback) {
            let skipped = bpf::program_info(&it.program).map_or(0, |it| it.recursion_misses);
            *misses.entry(it.hook).or_default() += skipped;
        }
        Misses(misses)
    }

    /// Takes off what fallbacks have done.
    fn make_up(&self, misses: &mut Misses, made_up: u64) {
        let mut left = made_up;
        for it in self.of_hooks.iter().filter(|it| it.is_fallback) {
            let skipped = misses.0.entry(it.hook).or_default();
            let made_up = left.min(*skipped);
            *skipped -= made_up;
            left -= made_up;
        }
    }
}

/// While this lives, the kernel counts how often every program runs.
pub(crate) struct CountedRuns(#[expect(dead_code, reason = "it counts until closed")] OwnedFd);

impl CountedRuns {
    /// `None` where it does not do so for this process: that takes `CAP_SYS_ADMIN`.
    pub(crate) fn begin() -> Option<Self> {
        bpf::count_runs().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_once_is_not_taken_back() {
        let mut told = Misses::default();
        let mut tell = |runs| {
            let now = Misses(BTreeMap::from([("unpin_user_folio", runs)]));
            now.or_as_told(&mut told).all()
        };
        assert_eq!([0, 85, 83, 67, 90].map(&mut tell), [0, 85, 85, 85, 90]);
    }
}
