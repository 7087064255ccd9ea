//! What is attached, link by link: taken off and attached again one by one, and all of it gone
//! with this.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use log::info;

use super::kprobes::{self, Kprobes};
use crate::kernel::{
    ftrace,
    sys::{bpf, perf::End},
};

/// How a program is attached to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By fentry or fexit.
    Trampoline(End),
    /// By a kprobe or kretprobe.
    Kprobe(End),
}

impl Place {
    fn end(self) -> End {
        match self {
            Self::Trampoline(end) | Self::Kprobe(end) => end,
        }
    }
}

/// A loaded program and where it belongs.
struct Link {
    hook: &'static str,
    symbol: &'static str,
    place: Place,
    program: OwnedFd,
    /// What keeps it attached, while it is.
    held: Option<Held>,
    /// Calls that the kprobes were kept from that it has had before.
    missed: u64,
}

enum Held {
    Trampoline(#[expect(dead_code, reason = "attached until closed")] OwnedFd),
    Kprobe(kprobes::Attached),
}

impl Held {
    fn missed(&self) -> u64 {
        match self {
            Self::Trampoline(_) => 0,
            Self::Kprobe(it) => it.missed(),
        }
    }
}

/// All links of the agent.
pub(super) struct Links {
    kprobes: Kprobes,
    links: Mutex<Vec<Link>>,
}

impl Links {
    pub(super) fn new(cpus: u32) -> Self {
        Self {
            kprobes: Kprobes::new(cpus),
            links: Mutex::default(),
        }
    }

    /// Attaches a loaded program to one end of a function.
    pub(super) fn attach(
        &self,
        hook: &'static str,
        symbol: &'static str,
        place: Place,
        program: impl AsFd,
    ) -> io::Result<()> {
        let program = program.as_fd().try_clone_to_owned()?;
        let held = self.hold(symbol, place, &program)?;
        self.lock().push(Link {
            hook,
            symbol,
            place,
            program,
            held: Some(held),
            missed: 0,
        });
        Ok(())
    }

    fn hold(&self, symbol: &str, place: Place, program: impl AsFd) -> io::Result<Held> {
        match place {
            Place::Trampoline(_) => bpf::attach_tracing(program).map(Held::Trampoline),
            Place::Kprobe(end) => self.kprobes.attach(program, symbol, end).map(Held::Kprobe),
        }
    }

    /// Takes the programs of a hook off and forgets them.
    pub(super) fn forget(&self, hook: &str) {
        self.lock().retain(|it| it.hook != hook);
    }

    /// Attaches a hook's programs that are off: at its return first, so that whoever is seen to
    /// enter is seen to return.
    pub(super) fn arm(&self, hook: &str) -> io::Result<()> {
        for end in [End::Return, End::Entry] {
            for at in self.of(hook, end) {
                let (symbol, place, program) = {
                    let links = self.lock();
                    let it = &links[at];
                    if it.held.is_some() {
                        continue;
                    }
                    (it.symbol, it.place, it.program.try_clone()?)
                };
                // It may take long, and nobody is to wait for it.
                let held = self.hold(symbol, place, program)?;
                self.lock()[at].held = Some(held);
            }
        }
        Ok(())
    }

    /// Takes a hook's programs at one end of its function off.
    pub(super) fn disarm(&self, hook: &str, end: End) {
        for at in self.of(hook, end) {
            let held = {
                let mut links = self.lock();
                let it = &mut links[at];
                let held = it.held.take();
                it.missed += held.as_ref().map_or(0, Held::missed);
                held
            };
            drop(held);
        }
    }

    /// Where a hook's programs are, for one end. They stay there: nothing is forgotten once the
    /// agent collects.
    fn of(&self, hook: &str, end: End) -> Vec<usize> {
        let links = self.lock();
        let of_hook = links.iter().enumerate();
        of_hook
            .filter(|(_, it)| it.hook == hook && it.place.end() == end)
            .map(|(at, _)| at)
            .collect()
    }

    /// Calls that kprobes were kept from, by hook.
    pub(super) fn missed(&self) -> BTreeMap<&'static str, u64> {
        let mut missed = BTreeMap::new();
        for it in self.lock().iter() {
            let now = it.held.as_ref().map_or(0, Held::missed);
            *missed.entry(it.hook).or_default() += it.missed + now;
        }
        missed
    }

    fn are_of_ftrace(&self) -> bool {
        let is_of_ftrace = |it: &Link| match it.held {
            Some(Held::Trampoline(_)) => true,
            Some(Held::Kprobe(_)) => ftrace::HAS_KPROBES,
            None => false,
        };
        self.lock().iter().any(is_of_ftrace)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Links {
    /// Detaches, when to do so harms nobody.
    fn drop(&mut self) {
        let _on = self.are_of_ftrace().then(ftrace::on);
        let begun = Instant::now();
        let mut links = self.lock();
        let attached = links.iter().filter(|it| it.held.is_some()).count();
        links.clear();
        if attached > 0 {
            info!("{attached} programs detached in {:.1?}", begun.elapsed());
        }
    }
}
