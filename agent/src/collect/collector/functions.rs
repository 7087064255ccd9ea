//! Names of the kernel's functions, for addresses that have none yet.

use std::{io, sync::Arc, thread::JoinHandle};

use log::warn;

use crate::{
    kernel::{
        function_names::{FunctionNames, MapIterator},
        kallsyms,
    },
    owners::{registry::Registry, symbols::Symbols},
};

/// Asking costs little, and is needed for each new path.
const EVERY: u32 = 1;

/// The kernel's list takes a while: a module's functions get their names so many seconds later at
/// most.
const EVERY_LIST: u32 = 10;

/// Asks the kernel for the names, on a thread of its own. Where it does not tell them, its
/// list is read.
pub(super) struct Functions {
    reading: Option<JoinHandle<Read>>,
    since: u32,
    by: MapIterator,
    /// Kept once it was needed; none where the list is read.
    asking: Option<FunctionNames>,
    unnamed: Option<Arc<str>>,
}

struct Read {
    symbols: Result<Symbols, String>,
    asking: Option<FunctionNames>,
}

impl Functions {
    pub(super) fn named_by(by: MapIterator) -> Self {
        Self {
            reading: None,
            since: EVERY_LIST,
            by,
            asking: None,
            unnamed: None,
        }
    }

    /// A second has passed. Whether call paths have other names than before.
    pub(super) fn learn(&mut self, registry: &mut Registry) -> bool {
        let mut has_learned = false;
        self.since = self.since.saturating_add(1);
        if let Some(reading) = self.reading.take_if(|it| it.is_finished()) {
            let read = reading.join().unwrap_or_else(|_panic| Read {
                symbols: Err("reading them failed".to_owned()),
                asking: None,
            });
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
        let every = if self.asking.is_some() {
            EVERY
        } else {
            EVERY_LIST
        };
        let is_due = self.since >= every && self.reading.is_none();
        if is_due && registry.take_wish_for_symbols() {
            self.since = 0;
            let (addresses, by, asking) = (registry.addresses(), self.by, self.asking.take());
            self.reading = Some(std::thread::spawn(move || read(&addresses, by, asking)));
        }
        has_learned
    }

    /// Why call paths have no names, where they have none.
    pub(super) fn unnamed(&self) -> Option<Arc<str>> {
        self.unnamed.clone()
    }
}

fn read(addresses: &[u64], by: MapIterator, asking: Option<FunctionNames>) -> Read {
    let asked = match asking {
        Some(kernel) => ask(addresses, kernel),
        None => FunctionNames::by(by).and_then(|kernel| ask(addresses, kernel)),
    };
    let refused = match asked {
        Ok((symbols, kernel)) => {
            return Read {
                symbols: Ok(symbols),
                asking: Some(kernel),
            };
        }
        Err(error) => error,
    };
    let list = |error: io::Error| format!("{}: {error}", kallsyms::PATH);
    let symbols = match kallsyms::shows_addresses() {
        Err(error) => Err(list(error)),
        Ok(true) => Symbols::read().map_err(list),
        Ok(false) => Err(format!(
            "the kernel hides the addresses of its functions (kernel.kptr_restrict, or CAP_SYSLOG is \
             missing), and does not name them when it is asked: {refused}"
        )),
    };
    Read {
        symbols,
        asking: None,
    }
}

fn ask(addresses: &[u64], kernel: FunctionNames) -> io::Result<(Symbols, FunctionNames)> {
    Symbols::ask(addresses, &kernel).map(|symbols| (symbols, kernel))
}
