//! Telling the service manager, by a thread of its own: one that does not listen holds up nobody
//! else. Of several things to tell of one kind the newest is told.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use log::warn;
use sd_notify::NotifyState;

/// How long attaching may take: as long as systemd gives it at the first start
/// (`TimeoutStartSec=` of the unit). Nothing is told meanwhile.
const STARTS_WITHIN: Duration = Duration::from_secs(180);

/// What there is to tell.
#[derive(Debug, Default)]
struct News {
    /// When it began to read its settings again, microseconds of the monotonic clock.
    reloading_since: Option<i128>,
    is_ready: bool,
    is_stopping: bool,
    /// The patience of its watchdog from now on, microseconds.
    patience: Option<u32>,
    is_alive: bool,
    status: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The patience of its watchdog, if it has one, microseconds.
    watchdog: Option<u32>,
    news: Mutex<News>,
    there_are: Condvar,
}

/// The service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Manager(Arc<Shared>);

impl Manager {
    /// Starts the thread.
    pub(super) fn find() -> Self {
        let watchdog = std::env::var("WATCHDOG_USEC").ok();
        let this = Self(Arc::new(Shared {
            watchdog: watchdog.and_then(|it| it.parse().ok()),
            ..Shared::default()
        }));
        if std::env::var_os("NOTIFY_SOCKET").is_some() {
            let shared = Arc::clone(&this.0);
            let thread = thread::Builder::new().name("notify".to_owned());
            if let Err(error) = thread.spawn(move || tell(&shared)) {
                warn!("cannot tell systemd: {error}");
            }
        }
        this
    }

    /// The agent serves.
    pub(super) fn ready(&self) {
        let watchdog = self.0.watchdog;
        self.add(|it| {
            it.is_ready = true;
            it.patience = watchdog;
        });
    }

    /// The agent starts once more.
    pub(super) fn starting(&self) {
        let starts_within = u32::try_from(STARTS_WITHIN.as_micros()).unwrap_or(u32::MAX);
        let patience = self.0.watchdog.map(|it| it.max(starts_within));
        self.add(|it| {
            it.is_alive = true;
            it.patience = patience;
            it.status = Some("switched on, attaching".to_owned());
        });
    }

    /// It reads its settings again, until it is ready.
    pub(super) fn reloading(&self) {
        // What wants to know when it began can have it from this clock alone.
        if let Ok(NotifyState::MonotonicUsec(since)) = NotifyState::monotonic_usec_now() {
            self.add(|it| it.reloading_since = Some(since));
        }
    }

    /// The agent ends.
    pub(super) fn stopping(&self) {
        self.add(|it| it.is_stopping = true);
    }

    /// It is at work, and how it stands, if that is news.
    pub(super) fn alive(&self, status: Option<&str>) {
        self.add(|it| {
            it.is_alive = true;
            if let Some(status) = status {
                it.status = Some(status.to_owned());
            }
        });
    }

    fn add(&self, change: impl FnOnce(&mut News)) {
        change(&mut lock(&self.0.news));
        self.0.there_are.notify_one();
    }
}

/// Nothing can be half done while it is held.
fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells what there is, for as long as the process lives.
fn tell(shared: &Shared) {
    loop {
        let mut news = lock(&shared.news);
        while news.is_none() {
            let waited = shared.there_are.wait(news);
            news = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let told = std::mem::take(&mut *news);
        drop(news);
        for states in told.messages() {
            if let Err(error) = sd_notify::notify(&states) {
                warn!("cannot tell systemd: {error}");
            }
        }
    }
}

impl News {
    fn is_none(&self) -> bool {
        self.messages().is_empty()
    }

    /// In one message there would be no order: that it reloads comes before that it is ready again.
    fn messages(&self) -> Vec<Vec<NotifyState<'_>>> {
        let reloading = self
            .reloading_since
            .map(|since| vec![NotifyState::Reloading, NotifyState::MonotonicUsec(since)]);
        let states = Some(self.states()).filter(|it| !it.is_empty());
        reloading.into_iter().chain(states).collect()
    }

    fn states(&self) -> Vec<NotifyState<'_>> {
        let states = [
            self.is_ready.then_some(NotifyState::Ready),
            self.is_stopping.then_some(NotifyState::Stopping),
            self.patience.map(NotifyState::WatchdogUsec),
            self.is_alive.then_some(NotifyState::Watchdog),
            self.status.as_deref().map(NotifyState::Status),
        ];
        states.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_yet_is_told_together_and_only_the_newest() {
        // No thread takes it: as if the one there is were held up.
        let manager = Manager::default();
        manager.ready();
        for status in ["1 MiB pinned", "2 MiB pinned"] {
            manager.alive(Some(status));
        }
        manager.alive(None);
        manager.stopping();
        let news = lock(&manager.0.news);
        let states = news.states();
        let expected = [
            NotifyState::Ready,
            NotifyState::Stopping,
            NotifyState::Watchdog,
            NotifyState::Status("2 MiB pinned"),
        ];
        assert_eq!(format!("{states:?}"), format!("{expected:?}"));
    }

    #[test]
    fn that_it_is_ready_again_is_told_after_that_it_reloads() {
        let manager = Manager::default();
        manager.reloading();
        manager.ready();
        let news = lock(&manager.0.news);
        let messages = news.messages();
        assert_eq!(messages.len(), 2);
        assert!(matches!(
            messages[0][..],
            [NotifyState::Reloading, NotifyState::MonotonicUsec(_)]
        ));
        assert!(matches!(messages[1][..], [NotifyState::Ready]));
    }

    #[test]
    fn a_start_has_the_time_that_it_takes_and_the_watchdog_its_own_patience_afterwards() {
        let manager = Manager(Arc::new(Shared {
            watchdog: Some(60_000_000),
            ..Shared::default()
        }));
        let patience = |manager: &Manager| lock(&manager.0.news).patience;
        manager.starting();
        assert_eq!(patience(&manager), Some(180_000_000));
        manager.ready();
        assert_eq!(patience(&manager), Some(60_000_000));
        // Who is not watched has none.
        let alone = Manager::default();
        alone.starting();
        assert_eq!(patience(&alone), None);
    }
}
