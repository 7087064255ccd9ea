//! The agent itself: what it lost, which hooks it has, and how old what it shows is.

use hooks::Method;
use probe_abi::Lost;

use super::{
    family::{Metric, counter, gauge},
    labels::{CHANGE, HOOK, LOSS, METHOD, SELF_TEST, SYMBOL, VERSION},
};

/// Told by an agent that is switched off as well, of which it is all there is.
pub(super) const SWITCHED_OFF: Metric = gauge(
    "switched_off",
    "1 while the file that --off-file names is there: nothing is attached then, and no other metric is \
     shown. 0 otherwise.",
    |_, out| out.one(0),
);

pub(super) const AGENT: &[Metric] = &[
    SWITCHED_OFF,
    counter(
        "lost_total",
        "What was lost, by cause; in pages, except ring_full (samples), threads_full and \
         return_missed (calls), hook_missed (runs of a program), tombstones_evicted (folios), \
         hook_silent (looks at the hooks).",
        |it, out| {
            for (cause, count) in Lost::NAMES.iter().zip(it.lost) {
                out.count(&[cause], count);
            }
        },
    )
    .by(&[LOSS]),
    counter(
        "hook_runs_missed_total",
        "Runs of a hook's programs that the kernel skipped and nothing made up for.",
        |it, out| {
            for (hook, runs) in &it.missed {
                out.count(&[hook], *runs);
            }
        },
    )
    .by(&[HOOK]),
    gauge(
        "hook_attached",
        "1 for the kernel symbol that serves a hook; 0 for a hook that sees nothing: none serves it, \
         it failed the self-test, or it fell silent. Of writeback's hooks it tells that they can be \
         attached: see pinscope_writeback_hooks_armed.",
        |it, out| {
            for hook in it.agent.hooks.iter().filter(|it| !it.state.not_needed) {
                let (symbol, method) = hook
                    .state
                    .attached
                    .map_or(("", ""), |(symbol, method)| (symbol, Method::name(method)));
                let labels = [hook.state.name, symbol, method];
                let sees = hook.sees() && !it.silent.contains_key(hook.state.name);
                out.count(&labels, u64::from(sees));
            }
        },
    )
    .by(&[HOOK, SYMBOL, METHOD]),
    gauge(
        "hook_selftest",
        "Always 1; the outcome says what the self-test at start found of a hook that is attached: \
         passed, failed, or untested.",
        |it, out| {
            let attached = it.agent.hooks.iter();
            for hook in attached.filter(|it| it.state.attached.is_some()) {
                out.count(&[hook.state.name, hook.tested.outcome()], 1);
            }
        },
    )
    .by(&[HOOK, SELF_TEST]),
    gauge(
        "hooks_silent",
        "Hooks that passed the self-test at start and see nothing any more; 0 is well.",
        |it, out| out.one(it.silent.len() as u64),
    ),
    gauge(
        "writeback_hooks_armed",
        "1 while the hooks that serve verdicts alone (mkclean, ptes_found, zap, mapcount_decrement) are \
         attached, and walks are seen; 0 while they are off, which `--writeback-hooks` decides.",
        |it, out| out.one(u64::from(it.armed.is_armed)),
    ),
    counter(
        "writeback_hooks_changes_total",
        "How often the hooks that serve verdicts alone were attached again (armed) and taken off \
         (disarmed).",
        |it, out| {
            out.count(&["armed"], it.armed.armed);
            out.count(&["disarmed"], it.armed.disarmed);
        },
    )
    .by(&[CHANGE]),
    gauge(
        "selftest_seconds",
        "How long the self-test at start took.",
        |it, out| out.add(&[], it.agent.self_test.as_secs_f64()),
    ),
    gauge(
        "config_last_reload_successful",
        "1 if the settings that were read last, at the start or after SIGHUP, are in force; 0 if they \
         were refused: the log says why, and what was in force before still is.",
        |it, out| out.one(u64::from(it.reloaded.is_successful)),
    ),
    gauge(
        "config_last_reload_success_timestamp_seconds",
        "When the settings that are in force were read, in seconds since 1970.",
        |it, out| out.add(&[], it.reloaded.succeeded_at.as_secs_f64()),
    ),
    gauge(
        "snapshot_timestamp_seconds",
        "When the figures here were read, in seconds since 1970; they are read once a second.",
        |it, out| out.add(&[], it.at_unix.as_secs_f64()),
    ),
    gauge(
        "build_info",
        "Always 1; its labels say what runs.",
        |_, out| out.count(&[env!("CARGO_PKG_VERSION")], 1),
    )
    .by(&[VERSION]),
];
