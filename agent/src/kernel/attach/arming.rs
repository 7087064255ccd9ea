//! Writeback's hooks, taken off and attached again while the agent runs: who pins no file is not to
//! pay for walks that have nothing to judge.
//!
//! To attach or detach may take the kernel a second and more, for which it waits until nobody is
//! inside what it changes. So a thread does it, and nobody waits for that.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hooks::{Family, HOOKS, MKCLEAN};
use log::{info, warn};

use super::links::Links;
use crate::kernel::{
    ftrace,
    maps::WalkCount,
    sys::{self, bpf, perf::End},
};

/// A walk that takes longer is not waited for, and counts as one whose return was missed.
const LONGEST_WALK: Duration = Duration::from_secs(1);

/// Between two looks at the walks under way.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// After it was refused, it is not tried again for so long.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// How the hooks of writeback are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Armed {
    /// All of them are attached.
    pub(crate) is_armed: bool,
    /// Some are on their way there or back.
    is_changing: bool,
    /// How often they were attached again, and how often taken off.
    pub(crate) armed: u64,
    pub(crate) disarmed: u64,
    /// Grows whenever walks may have gone unseen until a time since boot, and that time.
    pub(crate) pauses: u32,
    pub(crate) unseen_until: Duration,
}

/// Arms and disarms. What is attached when this goes stays so.
pub(crate) struct Arming {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    wish: Mutex<Wish>,
    changed: Condvar,
    now: Mutex<Armed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Armed,
    Disarmed,
    End,
}

impl Arming {
    /// Everything is attached. `trial` is a program that does nothing, where programs are attached
    /// as it can be.
    pub(super) fn new(
        links: Arc<Links>,
        walks: WalkCount,
        trial: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            wish: Mutex::new(Wish::Armed),
            changed: Condvar::new(),
            now: Mutex::new(Armed {
                is_armed: true,
                ..Armed::default()
            }),
        });
        let armourer = Armourer {
            links,
            walks,
            trial,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new().name("arming".to_owned());
        Ok(Self {
            shared,
            thread: Some(thread.spawn(move || armourer.work())?),
        })
    }

    /// Has them attached, or taken off.
    pub(crate) fn wish(&self, armed: bool) {
        let wish = if armed { Wish::Armed } else { Wish::Disarmed };
        self.shared.wish(wish);
    }

    /// How they are.
    pub(crate) fn now(&self) -> Armed {
        *self.shared.now()
    }

    /// Whether walks are seen and will be: nothing is changing, or about to.
    pub(crate) fn sees_walks(&self) -> bool {
        let is_wished = *self.shared.wished() == Wish::Armed;
        let now = self.now();
        is_wished && now.is_armed && !now.is_changing
    }
}

impl Drop for Arming {
    fn drop(&mut self) {
        self.shared.wish(Wish::End);
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, what it had attached is detached all the same.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wished(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wish(&self, wish: Wish) {
        let mut wished = self.wished();
        if *wished != wish {
            *wished = wish;
            self.changed.notify_all();
        }
    }

    fn now(&self) -> MutexGuard<'_, Armed> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something else is wished than `done`, or until it is time to try again.
    fn other_than(&self, done: Wish, refused: Option<Instant>) -> Wish {
        let mut wish = self.wished();
        loop {
            if *wish == Wish::End {
                return *wish;
            }
            let wait = refused.map(|it| it.saturating_duration_since(Instant::now()));
            match wait {
                Some(wait) if !wait.is_zero() => {
                    let waited = self.changed.wait_timeout(wish, wait);
                    wish = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                _ if *wish != done => return *wish,
                _ => {
                    let waited = self.changed.wait(wish);
                    wish = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// The thread.
struct Armourer {
    links: Arc<Links>,
    walks: WalkCount,
    trial: Option<OwnedFd>,
    shared: Arc<Shared>,
}

impl Armourer {
    fn work(mut self) {
        let (mut done, mut refused) = (Wish::Armed, None);
        loop {
            let wish = self.shared.other_than(done, refused.take());
            let outcome = match wish {
                Wish::End => return,
                // Neither is safe.
                _ if ftrace::is_off() => Err(io::Error::other(ftrace::OFF)),
                Wish::Armed => self.arm(),
                Wish::Disarmed => self.may_disarm().map(|()| self.disarm()),
            };
            match outcome {
                Ok(()) => done = wish,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    info!("writeback's hooks stay attached: {error}");
                    return;
                }
                Err(error) => {
                    warn!("writeback's hooks are not attached or taken off: {error}");
                    refused = Some(Instant::now() + AFTER_REFUSAL);
                }
            }
        }
    }

    /// What walks tell others, and the walks last.
    fn arm(&self) -> io::Result<()> {
        self.change(|it| it.is_changing = true);
        // Whoever is seen to walk before this is done has been walked unseen before.
        self.pause();
        let armed = of_writeback().rev().try_for_each(|it| self.links.arm(it));
        if armed.is_err() {
            self.take_off();
        }
        self.pause();
        self.change(|it| {
            it.is_changing = false;
            it.is_armed = armed.is_ok();
            it.armed += u64::from(it.is_armed);
        });
        armed?;
        info!("writeback's hooks are attached: folios of files are pinned");
        Ok(())
    }

    /// Before Linux 5.13 (commit f3a95075549e) a program that was detached from a trampoline is never
    /// attached again.
    fn may_disarm(&mut self) -> io::Result<()> {
        let Some(trial) = &self.trial else {
            return Ok(());
        };
        drop(bpf::attach_tracing(trial)?);
        if bpf::attach_tracing(trial).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel attaches no fentry program a second time; with `--attach kprobe` they \
                 are attached while there is something to judge",
            ));
        }
        self.trial = None;
        Ok(())
    }

    fn disarm(&self) {
        self.change(|it| {
            it.is_changing = true;
            it.is_armed = false;
        });
        self.take_off();
        self.change(|it| {
            it.is_changing = false;
            it.disarmed += 1;
        });
        info!("writeback's hooks are off: no folio of a file is pinned");
    }

    /// No walk begins to be seen; those that are under way are seen to their ends.
    fn take_off(&self) {
        self.links.disarm(MKCLEAN, End::Entry);
        let until = Instant::now() + LONGEST_WALK;
        while self.walks.are_any() && Instant::now() < until {
            thread::sleep(BETWEEN_LOOKS);
        }
        for hook in of_writeback() {
            self.links.disarm(hook, End::Entry);
            self.links.disarm(hook, End::Return);
        }
    }

    /// Walks may have gone unseen until now.
    fn pause(&self) {
        self.change(|it| {
            it.pauses += 1;
            it.unseen_until = sys::since_boot();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Armed)) {
        change(&mut self.shared.now());
    }
}

/// The hooks that serve verdicts alone, the walk first.
fn of_writeback() -> impl DoubleEndedIterator<Item = &'static str> {
    let rows = HOOKS.iter().filter(|it| is_of_writeback(it.family));
    rows.map(|it| it.name)
}

/// Whether hooks of this family serve verdicts alone.
pub(crate) fn is_of_writeback(family: Family) -> bool {
    match family {
        Family::Mkclean | Family::Zap => true,
        Family::Gup | Family::Release => false,
    }
}
