//! The person who started a guest: their streams and their terminal, from hello on.
//! Leaves out reading them, which is `stdin`.

use std::{
    io::{self, Write as _},
    sync::mpsc::Sender,
};

use lab::wire::{Frame, Stream};

use super::{
    Guest, Input,
    forward::Started,
    port::Port,
    session::{Event, Listener},
    stdin::{self, RawTerminal},
};
use crate::say;

/// The guest's output for the person who started it.
pub(crate) struct Person<'a> {
    guest: &'a Guest,
    port: Port,
    events: Sender<Event>,
    forward: Option<Started>,
    terminal: Option<RawTerminal>,
}

impl<'a> Person<'a> {
    pub(crate) fn new(
        guest: &'a Guest,
        port: Port,
        events: Sender<Event>,
        forward: Option<Started>,
    ) -> Self {
        Self {
            guest,
            port,
            events,
            forward,
            terminal: None,
        }
    }
}

impl Listener for Person<'_> {
    fn hello(&mut self, _release: &str) {
        if self.guest.terminal {
            match RawTerminal::enter() {
                Ok(terminal) => self.terminal = terminal,
                Err(error) => say::step("lab", format_args!("{error:#}")),
            }
        }
        match self.guest.input {
            Input::Person => {
                let events = self.events.clone();
                stdin::pump(self.port.clone(), events, self.terminal.is_some());
            }
            Input::Nothing => self.port.send(&Frame::InputEnd),
        }
        if let Some(forward) = self.forward.take() {
            forward.serve();
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) -> anyhow::Result<()> {
        match stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
            }
            Stream::Err => io::stderr().lock().write_all(bytes)?,
        }
        Ok(())
    }
}
