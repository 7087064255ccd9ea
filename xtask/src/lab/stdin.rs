//! The person's side of a guest: their input, their terminal and their signals.
//! Leaves out what the guest prints.

use std::{
    io::{self, Read as _},
    sync::mpsc::Sender,
    thread,
};

use anyhow::Context as _;
use lab::wire::Frame;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH},
    iterator::{Handle, Signals},
};

use super::{port::Port, session::Event};

/// Ctrl-] ends the guest: in a raw terminal Ctrl-C is the guest's.
const ESCAPE: u8 = 0x1d;

/// The terminal made raw, until dropped.
pub(crate) struct RawTerminal(Termios);

impl RawTerminal {
    /// `None` if standard input is no terminal.
    pub(crate) fn enter() -> anyhow::Result<Option<Self>> {
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(&stdin) else {
            return Ok(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).context("cannot make the terminal raw")?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // The terminal is gone if this fails, and with it whoever could be told.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Rows and columns of the terminal, or the usual ones where there is none.
pub(crate) fn terminal_size() -> (u16, u16) {
    match tcgetwinsize(io::stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}

/// Sends standard input to the guest for as long as there is any.
pub(crate) fn pump(port: Port, events: Sender<Event>, escape: bool) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match io::stdin().read(&mut buffer) {
                Ok(0) => return port.send(&Frame::InputEnd),
                Ok(read) => {
                    let bytes = &buffer[..read];
                    if escape && bytes.contains(&ESCAPE) {
                        // Nobody listens only if the guest has ended already.
                        let _ = events.send(Event::Kill);
                        return;
                    }
                    if !port.send_bytes(bytes, Frame::Input) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return port.send(&Frame::InputEnd),
            }
        }
    });
}

/// Turns this process's signals into events, until dropped.
pub(crate) struct SignalWatch(Handle);

impl SignalWatch {
    pub(crate) fn start(events: Sender<Event>) -> anyhow::Result<Self> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH]).context("cannot catch signals")?;
        let handle = signals.handle();
        thread::spawn(move || {
            for signal in signals.forever() {
                let event = if signal == SIGWINCH {
                    let (rows, columns) = terminal_size();
                    Event::Resize(rows, columns)
                } else {
                    Event::Interrupt(signal)
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self(handle))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.0.close();
    }
}
