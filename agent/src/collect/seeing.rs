//! Whether the hooks still see, looked at again and again: the switches of function tracing and of kprobes at
//! each tick, which costs a read each; a heartbeat twice a minute.

use std::{collections::BTreeMap, time::Duration};

use log::{info, warn};

use super::hooks::Hook;
use crate::{
    kernel::{attach::is_of_writeback, ftrace, kprobes, sys},
    selftest::{Evidence, Heartbeat},
};
use hooks::Method;

/// Between two heartbeats.
const EVERY: Duration = Duration::from_secs(30);

/// A hook that saw what it had to see, and does not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// When that was found, since boot.
    pub(crate) since: Duration,
    /// What it has not seen, or what keeps it from seeing.
    pub(crate) why: &'static str,
}

/// Hooks that are silent, by name.
pub(crate) type Silent = BTreeMap<&'static str, Silence>;

/// What was found so far.
pub(crate) struct Seeing {
    heartbeat: Option<Heartbeat>,
    /// When the next one is due.
    next: Duration,
    is_off: bool,
    silent: Silent,
    /// Looks at which any hook was silent.
    looks: u64,
}

impl Seeing {
    pub(crate) fn new(hooks: &[Hook], now: Duration) -> Self {
        let attached = hooks.iter().filter(|it| it.state.attached.is_some());
        let heartbeat = Heartbeat::new(attached.map(|it| (it.state.name, &it.tested)));
        if let Err(error) = &heartbeat {
            warn!("whether the hooks still see is not tried: no memory for it: {error}");
        }
        Self {
            heartbeat: heartbeat.ok(),
            next: now + EVERY,
            is_off: false,
            silent: Silent::new(),
            looks: 0,
        }
    }

    /// Looks again, as far as it is time for it.
    ///
    /// `walks`: whether writeback's hooks are attached.
    pub(crate) fn look(
        &mut self,
        hooks: &[Hook],
        evidence: Evidence<'_>,
        walks: bool,
        now: Duration,
    ) {
        let switched_off = switched_off(hooks, walks);
        let is_off = !switched_off.is_empty();
        let found: BTreeMap<&'static str, &'static str> = if is_off {
            switched_off
        } else if now >= self.next || self.is_off {
            self.next = now + EVERY;
            let heartbeat = self.heartbeat.as_ref();
            heartbeat.map_or_else(BTreeMap::new, |it| it.silent(evidence, walks))
        } else {
            return;
        };
        self.is_off = is_off;
        self.looks += u64::from(!found.is_empty());
        self.note(&found);
    }

    fn note(&mut self, found: &BTreeMap<&'static str, &'static str>) {
        for (hook, why) in found.iter().filter(|it| !self.silent.contains_key(it.0)) {
            warn!("{hook} sees nothing any more: {why}");
        }
        for hook in self.silent.keys().filter(|it| !found.contains_key(*it)) {
            info!("{hook} sees again");
        }
        let since = sys::since_boot();
        let silence = |(hook, why): (&&'static str, &&'static str)| {
            let before = self.silent.get(hook);
            let since = before.map_or(since, |it| it.since);
            (*hook, Silence { since, why })
        };
        self.silent = found.iter().map(silence).collect();
    }

    /// Those that are silent now.
    pub(crate) fn silent(&self) -> &Silent {
        &self.silent
    }

    /// Looks at which any was.
    pub(crate) fn looks(&self) -> u64 {
        self.looks
    }
}

/// Hooks that a switch of the host keeps from seeing, and what is to be done about it.
fn switched_off(hooks: &[Hook], walks: bool) -> BTreeMap<&'static str, &'static str> {
    let hooks = || hooks.iter().filter(|it| walks || !serves_walks(it));
    let mut silenced = BTreeMap::new();
    if hooks().any(is_of_kprobes) && kprobes::are_off() {
        let of_kprobes = hooks().filter(|it| is_of_kprobes(it));
        silenced.extend(of_kprobes.map(|it| (it.state.name, kprobes::OFF)));
    }
    if ftrace::is_off() {
        let of_ftrace = hooks().filter(|it| is_of_ftrace(it));
        silenced.extend(of_ftrace.map(|it| (it.state.name, ftrace::OFF)));
    }
    silenced
}

fn is_of_kprobes(hook: &Hook) -> bool {
    matches!(
        hook.state.attached,
        Some((_, Method::Kprobe | Method::Both))
    )
}

/// Whether it is one of writeback's, which are not attached all the time.
fn serves_walks(hook: &Hook) -> bool {
    hooks::hook(hook.state.name).is_some_and(|it| is_of_writeback(it.family))
}

fn is_of_ftrace(hook: &Hook) -> bool {
    match hook.state.attached {
        Some((_, Method::Fentry | Method::Both)) => true,
        Some((_, Method::Kprobe)) => ftrace::HAS_KPROBES,
        Some((_, Method::Stack)) | None => false,
    }
}
