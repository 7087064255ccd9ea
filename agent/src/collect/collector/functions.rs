//! Names of the kernel's functions, read again when there are addresses without one.

use std::{io, thread::JoinHandle};

use log::warn;

use crate::owners::{registry::Registry, symbols::Symbols};

/// A module's functions get their names so many seconds later at most.
const EVERY: u32 = 10;

/// Reads the kernel's list on a thread of its own, which takes a while.
pub(super) struct Functions {
    reading: Option<JoinHandle<io::Result<Symbols>>>,
    since: u32,
}

impl Default for Functions {
    fn default() -> Self {
        Self {
            reading: None,
            since: EVERY,
        }
    }
}

impl Functions {
    /// A second has passed. Whether call paths have other names than before.
    pub(super) fn learn(&mut self, registry: &mut Registry) -> bool {
        let mut has_learned = false;
        self.since = self.since.saturating_add(1);
        if let Some(reading) = self.reading.take_if(|it| it.is_finished()) {
            match reading.join() {
                Ok(Ok(symbols)) => {
                    registry.learn_symbols(symbols);
                    has_learned = true;
                }
                Ok(Err(error)) => {
                    warn!("call paths have no names: /proc/kallsyms: {error}");
                    registry.want_symbols();
                }
                Err(_panic) => warn!("call paths have no names: reading them failed"),
            }
        }
        let is_due = self.since >= EVERY && self.reading.is_none();
        if is_due && registry.take_wish_for_symbols() {
            self.since = 0;
            self.reading = Some(std::thread::spawn(Symbols::read));
        }
        has_learned
    }
}
