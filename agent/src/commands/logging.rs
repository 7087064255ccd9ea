//! The log: what goes into it can change while the program runs.

use std::sync::{OnceLock, PoisonError, RwLock};

use env_logger::Logger;
use log::{Log, Metadata, Record};

/// The one log of the process. The log crate's macros know no other way to it.
static LOG: OnceLock<RwLock<Logger>> = OnceLock::new();

/// Begins to log by this filter, or goes on by it.
pub(super) fn filter(filters: &str) {
    let logger = env_logger::Builder::new().parse_filters(filters).build();
    let most = logger.filter();
    match LOG.get() {
        None => {
            LOG.get_or_init(|| RwLock::new(logger));
            // Refused where another is set, which only a test's process has.
            let _ = log::set_logger(&Filtered);
        }
        Some(log) => *log.write().unwrap_or_else(PoisonError::into_inner) = logger,
    }
    log::set_max_level(most);
}

/// Hands on to what [`LOG`] has.
struct Filtered;

impl Log for Filtered {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ask(|it| it.enabled(metadata)).unwrap_or(false)
    }

    fn log(&self, record: &Record<'_>) {
        ask(|it| it.log(record));
    }

    fn flush(&self) {
        ask(Log::flush);
    }
}

fn ask<T>(what: impl FnOnce(&Logger) -> T) -> Option<T> {
    let log = LOG.get()?.read().unwrap_or_else(PoisonError::into_inner);
    Some(what(&log))
}
