//! Names of the kernel's functions, read again when there are addresses without one.

use std::{io, sync::Arc, thread::JoinHandle};

use log::{info, warn};

use crate::{
    kernel::{function_names::FunctionNames, kallsyms},
    owners::{registry::Registry, symbols::Symbols},
};

/// A module's functions get their names so many seconds later at most.
const EVERY: u32 = 10;

/// The same where the kernel is asked for each, which costs little and is needed for each new path.
const EVERY_ASKED: u32 = 1;

/// Reads the kernel's list on a thread of its own, which takes a while. Where that hides
/// addresses, the kernel is asked for each.
pub(super) struct Functions {
    reading: Option<JoinHandle<Read>>,
    since: u32,
    /// Kept once it was needed.
    asking: Option<FunctionNames>,
    is_told: bool,
    unnamed: Option<Arc<str>>,
}

struct Read {
    symbols: Result<Symbols, String>,
    asking: Option<FunctionNames>,
}

impl Default for Functions {
    fn default() -> Self {
        Self {
            reading: None,
            since: EVERY,
            asking: None,
            is_told: false,
            unnamed: None,
        }
    }
}

impl Functions {
    /// A second has passed. Whether call paths have other names than before.
    pub(super) fn learn(&mut self, registry: &mut Registry) -> bool {
        let mut has_learned = false;
        self.since = self.since.saturating_add(1);
        if let Some(reading) = self.reading.take_if(|it| it.is_finished()) {
            let read = reading.join().unwrap_or_else(|_panic| Read {
                symbols: Err("reading them failed".to_owned()),
                asking: None,
            });
            if read.asking.is_some() && !self.is_told {
                self.is_told = true;
                info!(
                    "the kernel hides the addresses of its functions: it is asked which ones call \
                     paths are of"
                );
            }
            self.asking = read.asking;
            match read.symbols {
                Ok(symbols) => {
                    registry.learn_symbols(symbols);
                    self.unnamed = None;
                    has_learned = true;
                }
                Err(why) => {
                    if self.unnamed.as_deref() != Some(&*why) {
                        warn!("call paths have no names: {why}");
                    }
                    self.unnamed = Some(why.into());
                    registry.want_symbols();
                }
            }
        }
        let every = if self.is_told { EVERY_ASKED } else { EVERY };
        let is_due = self.since >= every && self.reading.is_none();
        if is_due && registry.take_wish_for_symbols() {
            self.since = 0;
            let (addresses, asking) = (registry.addresses(), self.asking.take());
            self.reading = Some(std::thread::spawn(move || read(&addresses, asking)));
        }
        has_learned
    }

    /// Why call paths have no names, where they have none.
    pub(super) fn unnamed(&self) -> Option<Arc<str>> {
        self.unnamed.clone()
    }
}

fn read(addresses: &[u64], mut asking: Option<FunctionNames>) -> Read {
    let list = |error: io::Error| format!("{}: {error}", kallsyms::PATH);
    let symbols = match kallsyms::shows_addresses() {
        Err(error) => Err(list(error)),
        Ok(true) => Symbols::read().map_err(list),
        Ok(false) => ask(addresses, &mut asking).map_err(|error| {
            format!(
                "the kernel hides the addresses of its functions (kernel.kptr_restrict, or \
                 CAP_SYSLOG is missing), and does not name them when it is asked: {error}"
            )
        }),
    };
    Read { symbols, asking }
}

fn ask(addresses: &[u64], asking: &mut Option<FunctionNames>) -> io::Result<Symbols> {
    let kernel = match asking.take() {
        Some(kernel) => kernel,
        None => FunctionNames::new()?,
    };
    Symbols::ask(addresses, asking.insert(kernel))
}
