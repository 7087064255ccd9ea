//! Taking clients in: so many at once, and whatever goes wrong with one of them, the next one is
//! waited for.

use std::{io, sync::Arc, time::Duration};

use log::warn;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

/// After an error that the next client will meet as well: file descriptors or memory are short.
const PAUSE: Duration = Duration::from_millis(100);

/// Between two lines in the log about that.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Waits for a place. Nobody closes these semaphores.
pub(super) async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

/// The next client.
pub(super) async fn accept<T, F: Future<Output = io::Result<T>>>(
    server: &str,
    next: impl Fn() -> F,
) -> T {
    let mut warned: Option<Instant> = None;
    loop {
        match next().await {
            Ok(client) => return client,
            // It went away before it was taken in.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                if warned.is_none_or(|it| it.elapsed() >= WARN_EVERY) {
                    warn!("no {server} client can be taken in: {error}");
                    warned = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn no_error_ends_the_wait_for_the_next_client() {
        let tries = Cell::new(0);
        let next = || {
            tries.set(tries.get() + 1);
            let outcome = match tries.get() {
                1 => Err(io::Error::from_raw_os_error(libc::EMFILE)),
                2 => Err(io::Error::from_raw_os_error(libc::ECONNABORTED)),
                3 => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
                it => Ok(it),
            };
            std::future::ready(outcome)
        };
        assert_eq!(accept("test", next).await, 4);
    }
}
