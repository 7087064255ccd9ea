//! The running collector: it drains the ring, keeps the view of owners up to date, and passes on
//! what the probes log.

mod hooks;
mod recorder;
mod state;

use std::{
    io,
    os::fd::AsRawFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use log::warn;
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

pub(crate) use self::hooks::Hook;
use crate::owners::symbols::Symbols;
pub(crate) use recorder::Recorder;
pub(crate) use state::{Snapshot, State};

/// Judges samples as they come.
pub(crate) async fn judge(samples: RingBuf<MapData>, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut ring = readable(samples)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        lock(&state).drain(ready.get_inner_mut())?;
        ready.clear_ready();
    }
}

/// Keeps the view of owners up to date, and reads the kernel's list of functions
/// when there are addresses that it has no name for.
pub(crate) async fn tick(state: Arc<Mutex<State>>) -> io::Result<()> {
    const EVERY: Duration = Duration::from_secs(1);
    /// A module's functions get their names so much later at most.
    const SYMBOLS_EVERY: u32 = 10;
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since_symbols = SYMBOLS_EVERY;
    loop {
        clock.tick().await;
        since_symbols += 1;
        let wanted = {
            let mut state = lock(&state);
            state.tick();
            since_symbols >= SYMBOLS_EVERY && state.owners.wants_symbols()
        };
        if wanted {
            since_symbols = 0;
            match spawn_blocking(Symbols::read).await? {
                Ok(symbols) => lock(&state).owners.learn_symbols(symbols),
                Err(error) => warn!("call paths have no names: /proc/kallsyms: {error}"),
            }
        }
    }
}

/// Passes what the programs log to the agent's own log.
pub(crate) async fn relay_log(logger: EbpfLogger<&'static dyn log::Log>) -> io::Result<()> {
    let mut ring = readable(logger)?;
    loop {
        let mut ready = ring.readable_mut().await?;
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}

/// The state, also after a panic elsewhere: it is only ever read whole.
pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the runtime wait until a ring has something to read.
fn readable<T: AsRawFd>(ring: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the ring owns its descriptor and moves in with it, so it is open
    // for as long as it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    registered.map_err(io::Error::from)
}
