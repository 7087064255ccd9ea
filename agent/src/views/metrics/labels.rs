//! The labels of metrics, and the values that each can have.

use estimator::{Estimator, Outcome};
use hooks::{HOOKS, Method};
use probe_abi::Lost;
use verdicts::{Race, WrongVerdict};

use crate::{
    collect::{Cause, Progress},
    owners::{subsystems, suspects::Reason},
    selftest::Tested,
};

/// A label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub(crate) name: &'static str,
    values: Values,
}

/// What stands behind a label.
#[derive(Clone, Copy, Debug)]
enum Values {
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
    /// Whatever the host has.
    Open,
}

impl Label {
    const fn one_of(name: &'static str, values: fn() -> Vec<&'static str>) -> Self {
        let values = Values::OneOf(values);
        Self { name, values }
    }

    const fn open(name: &'static str) -> Self {
        let values = Values::Open;
        Self { name, values }
    }

    /// Every value there can be; `None` where the host decides.
    pub(crate) fn values(&self) -> Option<Vec<&'static str>> {
        match self.values {
            Values::OneOf(values) => Some(values()),
            Values::Open => None,
        }
    }
}

pub(super) const LOSS: Label = Label::one_of("cause", || Lost::NAMES.to_vec());

pub(super) const REPAIR: Label = Label::one_of("cause", || {
    Cause::ALL.into_iter().map(Cause::name).collect()
});

pub(super) const HOOK: Label = Label::one_of("hook", || HOOKS.iter().map(|it| it.name).collect());

pub(super) const SYMBOL: Label = Label::open("symbol");

/// Empty for a hook that nothing serves.
pub(super) const METHOD: Label = Label::one_of("method", || {
    let methods = Method::ALL.into_iter();
    methods.map(Method::name).chain([""]).collect()
});

pub(super) const SELF_TEST: Label = Label::one_of("outcome", || Tested::OUTCOMES.to_vec());

pub(super) const CENSUS: Label = Label::one_of("state", || Progress::NAMES.to_vec());

pub(super) const CHANGE: Label = Label::one_of("change", || vec!["armed", "disarmed"]);

pub(super) const VERSION: Label = Label::open("version");

/// Of modules without a row only a few have a name of their own.
pub(super) const SUBSYSTEM: Label = Label::one_of("subsystem", || {
    subsystems::names().chain([subsystems::MODULE]).collect()
});

pub(super) const CGROUP: Label = Label::open("cgroup");

pub(super) const SUSPICION: Label = Label::one_of("reason", || {
    Reason::ALL.into_iter().map(Reason::name).collect()
});

pub(super) const ESTIMATOR: Label = Label::one_of("estimator", || {
    Estimator::ALL.into_iter().map(Estimator::name).collect()
});

pub(super) const VERDICT: Label = Label::one_of("verdict", outcomes);

/// The kernel's own verdict.
pub(super) const KERNEL: Label = Label::one_of("kernel", outcomes);

pub(super) const WRONG: Label = Label::one_of("error", || {
    WrongVerdict::ALL
        .into_iter()
        .map(WrongVerdict::name)
        .collect()
});

pub(super) const RACE: Label =
    Label::one_of("race", || Race::ALL.into_iter().map(Race::name).collect());

/// What a walk met, whoever was wrong.
pub(super) const MET: Label = Label::one_of("race", || {
    vec!["zap", "gup", "writeback", "gup_under_writeback"]
});

pub(super) const END: Label = Label::one_of("end", || vec!["guped_again", "out_of_sight"]);

pub(super) const WALK: Label = Label::one_of("outcome", || {
    vec!["unmapped", "settled", "sampled", "passed_over"]
});

fn outcomes() -> Vec<&'static str> {
    Outcome::ALL.into_iter().map(Outcome::name).collect()
}
