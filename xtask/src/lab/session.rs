//! One boot of a guest, from QEMU's start to its end; leaves out what is tried again and what a person sees of it.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lab::wire::{Frame, Stream, WireError};

use super::port::{Arrival, Port};

/// How long a guest may take to reach its init, or a system to be up: emulated, on a busy machine.
const HELLO_WITHIN: Duration = Duration::from_secs(300);

/// How long a command may take to end once it was sent a signal.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What a session hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// Of the command line.
    Line(Arrival),
    /// Somebody wants the guest to end: a signal for its command, then the end at once.
    Interrupt(i32),
    /// The person's terminal has changed.
    Resize(u16, u16),
    /// The guest is to end now.
    Kill,
}

/// How a boot ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The command ended with this code.
    Exited(u8),
    /// Init could not carry out the job.
    Fault(String),
    /// The guest ended without a verdict. Before hello that is the infrastructure's fault.
    Died { said_hello: bool },
    /// The line carried something else than frames.
    Damaged(WireError),
    /// The time that the person set is over.
    TimedOut,
    /// The person ended it, with this signal.
    Interrupted(i32),
}

/// Who listens to the guest.
pub(crate) trait Listener {
    /// Init runs, on this release.
    fn hello(&mut self, release: &str);
    /// The command wrote.
    fn output(&mut self, stream: Stream, bytes: &[u8]) -> anyhow::Result<()>;
}

/// Where events come from and go to.
pub(crate) struct Events {
    pub(crate) sender: Sender<Event>,
    receiver: Receiver<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }
}

/// Follows the guest until it has ended or is to be ended.
pub(crate) fn follow(
    events: &Events,
    port: &Port,
    timeout: Option<Duration>,
    listener: &mut impl Listener,
) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let mut said_hello = false;
    let mut interrupted = None;
    loop {
        let limit = if said_hello {
            timeout
        } else {
            Some(HELLO_WITHIN)
        };
        let grace = interrupted.map(|(_, at): (i32, Instant)| at + ENDS_WITHIN);
        let end = [limit.map(|limit| start + limit), grace]
            .into_iter()
            .flatten()
            .min();
        let left = end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        });
        let event = match events.receiver.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                return Ok(match interrupted {
                    Some((signal, at)) if at.elapsed() >= ENDS_WITHIN => {
                        Outcome::Interrupted(signal)
                    }
                    _ if said_hello => Outcome::TimedOut,
                    _ => Outcome::Died { said_hello },
                });
            }
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody listens to the guest"),
        };
        match event {
            Event::Line(Arrival::Frame(frame)) => match frame {
                Frame::Hello(release) => {
                    said_hello = true;
                    listener.hello(&release);
                }
                Frame::Output(stream, bytes) => {
                    listener
                        .output(stream, &bytes)
                        .context("cannot pass the output on")?;
                }
                Frame::Exit(code) => return Ok(Outcome::Exited(code)),
                Frame::Fault(text) => return Ok(Outcome::Fault(text)),
                other => anyhow::bail!("the guest sent {other:?}, which only the host sends"),
            },
            Event::Line(Arrival::End(None)) => return Ok(Outcome::Died { said_hello }),
            Event::Line(Arrival::End(Some(error))) if said_hello => {
                return Ok(Outcome::Damaged(error));
            }
            Event::Line(Arrival::End(Some(_))) => return Ok(Outcome::Died { said_hello }),
            Event::Interrupt(signal) if said_hello && interrupted.is_none() => {
                interrupted = Some((signal, Instant::now()));
                port.send(&Frame::Signal(u8::try_from(signal).unwrap_or(15)));
            }
            Event::Interrupt(signal) => return Ok(Outcome::Interrupted(signal)),
            Event::Kill => return Ok(Outcome::Interrupted(15)),
            Event::Resize(rows, columns) => port.send(&Frame::Resize(rows, columns)),
        }
    }
}
