//! The metrics of the hooks: what each is attached to, what the self-test said of it, and
//! which other metrics are withheld because a hook that feeds them sees nothing.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hooks::{Feeds, Method};
use prometheus::{Gauge, IntGaugeVec, Registry};

use super::register::{float_gauge, gauges};
use crate::{collect::Hook, selftest::Tested};

/// What depends on every pin and every release being seen.
const OUTSTANDING: &[&str] = &[
    "pinned_pages",
    "pinned_folios",
    "pinned_bytes",
    "untracked_pages",
    "subsystem_pinned_bytes",
    "subsystem_oldest_pin_seconds",
    "hold_seconds",
    "cgroup_pinned_bytes",
    "memcg_pinned_bytes",
    "leak_suspects",
    "wrong_verdicts_total",
];

const WALKS: &[&str] = &[
    "mkclean_walks_total",
    "mkclean_walk_seconds",
    "samples_issued_total",
    "samples_delivered_total",
    "samples_judged_total",
    "verdicts_total",
    "wrong_verdicts_total",
    "walk_races_total",
    "false_positive_heal_seconds",
    "false_positives_open",
    "false_positives_unhealed_total",
];

/// Metrics that a hook feeds, in two parts.
fn fed_by(hook: &str) -> [&'static [&'static str]; 2] {
    match hooks::hook(hook).map_or(Feeds::Nothing, |it| it.feeds) {
        Feeds::Pins => [&["pages_pinned_total"], OUTSTANDING],
        Feeds::References => [&["pages_referenced_total", "referenced_pages"], &[]],
        Feeds::PinsReleased => [&["pages_unpinned_total", "unpin_calls_total"], OUTSTANDING],
        Feeds::ReferencesReleased => [&["pages_unreferenced_total", "referenced_pages"], &[]],
        Feeds::Walks => [WALKS, &["zaps_in_walk_total"]],
        Feeds::Zaps => [&["zaps_in_walk_total"], &[]],
        Feeds::Nothing => [&[], &[]],
    }
}

/// Metrics that would be wrong: what a hook feeds that failed its self-test, and
/// what a hook that is not attached would feed alone.
fn withheld(hooks: &[Hook]) -> BTreeSet<&'static str> {
    let names = |it: &Hook| fed_by(it.state.name).concat();
    let failed = hooks
        .iter()
        .filter(|it| matches!(it.tested, Tested::Failed(_)));
    let fed: BTreeSet<_> = hooks
        .iter()
        .filter(|it| it.sees())
        .flat_map(names)
        .collect();
    let unattached = hooks
        .iter()
        .filter(|it| it.state.attached.is_none() && !it.state.not_needed);
    let alone = unattached.flat_map(names).filter(|it| !fed.contains(it));
    failed.flat_map(names).chain(alone).collect()
}

pub(super) struct HookMetrics {
    attached: IntGaugeVec,
    tested: IntGaugeVec,
    seconds: Gauge,
    withheld: Mutex<BTreeSet<&'static str>>,
}

impl HookMetrics {
    pub(super) fn new(it: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            attached: gauges(
                it,
                "hook_attached",
                "1 for the kernel symbol that serves a hook; 0 for a hook that is blind: that \
                 nothing serves, or that failed the self-test.",
                &["hook", "symbol", "method"],
            )?,
            tested: gauges(
                it,
                "hook_selftest",
                "Always 1; the outcome says what the self-test at start found of a hook that is \
                 attached: passed, failed, or untested.",
                &["hook", "outcome"],
            )?,
            seconds: float_gauge(
                it,
                "selftest_seconds",
                "How long the self-test at start took.",
            )?,
            withheld: Mutex::default(),
        })
    }

    pub(super) fn update(&self, hooks: &[Hook], took: Duration) {
        for hook in hooks {
            if hook.state.not_needed {
                continue;
            }
            let (symbol, method) = hook
                .state
                .attached
                .map_or(("", ""), |(symbol, method)| (symbol, Method::name(method)));
            self.attached
                .with_label_values(&[hook.state.name, symbol, method])
                .set(i64::from(hook.sees()));
            if hook.state.attached.is_some() {
                self.tested
                    .with_label_values(&[hook.state.name, hook.tested.outcome()])
                    .set(1);
            }
        }
        self.seconds.set(took.as_secs_f64());
        *self.names() = withheld(hooks);
    }

    /// Whether a metric, by its full name, is not to be shown.
    pub(super) fn withholds(&self, name: &str) -> bool {
        name.strip_prefix("pinscope_")
            .is_some_and(|it| self.names().contains(it))
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use hooks::HOOKS;

    use super::*;
    use crate::kernel::attach::HookState;

    fn hook(name: &'static str, is_attached: bool, tested: Tested) -> Hook {
        let state = HookState {
            name,
            attached: is_attached.then_some((name, Method::Kprobe)),
            rejected: Vec::new(),
            not_needed: false,
        };
        Hook { state, tested }
    }

    fn failed() -> Tested {
        Tested::Failed("saw 0 of 16".to_owned())
    }

    #[test]
    fn what_a_failed_hook_feeds_is_withheld_even_if_others_feed_it_too() {
        let hooks = [
            hook("pin_user_pages", true, Tested::Passed),
            hook("pin_user_pages_fast", true, failed()),
            hook("get_user_pages_fast", true, Tested::Passed),
        ];
        let withheld = withheld(&hooks);
        assert!(withheld.contains("pages_pinned_total") && withheld.contains("pinned_pages"));
        assert!(!withheld.contains("pages_referenced_total"));
    }

    #[test]
    fn what_an_unattached_hook_would_feed_is_withheld_if_nothing_else_feeds_it() {
        let untested = || Tested::Untested(String::new());
        let mut hooks = vec![
            hook("bio_release", false, untested()),
            hook("pin_user_pages", true, untested()),
            hook("pin_user_pages_remote", false, untested()),
        ];
        let names = withheld(&hooks);
        assert!(names.contains("pages_unreferenced_total"));
        assert!(!names.contains("pages_pinned_total"));
        hooks[0].state.not_needed = true;
        assert!(withheld(&hooks).is_empty());
    }

    #[test]
    fn a_withheld_metric_is_absent_and_not_zero() {
        let metrics = super::super::Metrics::new().unwrap();
        let line = "pinscope_pages_unreferenced_total 0";
        let text = || String::from_utf8(metrics.encode().unwrap()).unwrap();
        assert!(text().contains(line));
        let hooks = [hook("bio_release", true, failed())];
        metrics.hooks.update(&hooks, Duration::ZERO);
        assert!(!text().contains(line));
        assert!(
            text().contains("pinscope_hook_selftest{hook=\"bio_release\",outcome=\"failed\"} 1")
        );
    }

    #[test]
    fn every_metric_that_may_be_withheld_exists() {
        let metrics = super::super::Metrics::new().unwrap();
        for name in HOOKS.iter().flat_map(|it| fed_by(it.name).concat()) {
            let second = gauges(&metrics.registry, name, "The same.", &[]);
            assert!(second.is_err(), "{name} does not exist");
        }
    }
}
