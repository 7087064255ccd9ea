//! The host's end of a guest's serial line: frames out within the window, frames in as they come.
//! Leaves out what the frames mean.

use std::{
    io::BufReader,
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use lab::wire::{CHUNK, Frame, WINDOW, WireError};

/// What a reader of a line is told.
#[derive(Debug)]
pub(crate) enum Arrival {
    Frame(Frame),
    /// The guest is gone, or the line is damaged.
    End(Option<WireError>),
}

/// The sending side; clones share the window.
#[derive(Clone)]
pub(crate) struct Port(Arc<Shared>);

struct Shared {
    socket: Mutex<UnixStream>,
    free: Mutex<Window>,
    changed: Condvar,
}

struct Window {
    bytes: usize,
    closed: bool,
}

/// Makes a line. `deliver` gets what arrives, on a thread of its own, until the end.
pub(crate) fn open(
    mut deliver: impl FnMut(Arrival) + Send + 'static,
) -> anyhow::Result<(Port, OwnedFd)> {
    let (ours, qemus) = UnixStream::pair()?;
    let mut reader = BufReader::new(ours.try_clone()?);
    let port = Port(Arc::new(Shared {
        socket: Mutex::new(ours),
        free: Mutex::new(Window {
            bytes: WINDOW,
            closed: false,
        }),
        changed: Condvar::new(),
    }));
    let window = port.clone();
    thread::spawn(move || {
        let end = loop {
            match Frame::read_from(&mut reader) {
                Ok(Some(Frame::Credit(bytes))) => window.give(bytes as usize),
                Ok(Some(frame)) => deliver(Arrival::Frame(frame)),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        window.close();
        deliver(Arrival::End(end));
    });
    Ok((port, qemus.into()))
}

impl Port {
    /// Sends a frame without a payload, at once.
    pub(crate) fn send(&self, frame: &Frame) {
        let mut socket = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // A guest that is gone is told by the reader.
        let _ = frame.write_to(&mut *socket);
    }

    /// Sends bytes in frames made by `frame`, as the guest takes them; `false` if it is gone.
    pub(crate) fn send_bytes(&self, bytes: &[u8], frame: impl Fn(Vec<u8>) -> Frame) -> bool {
        bytes.chunks(CHUNK).all(|chunk| {
            let room = self.take(chunk.len());
            if room {
                self.send(&frame(chunk.to_vec()));
            }
            room
        })
    }

    /// Ends the line from this side.
    pub(crate) fn close(&self) {
        let mut window = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        window.closed = true;
        drop(window);
        self.0.changed.notify_all();
        let socket = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails only if QEMU closed it first.
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn take(&self, bytes: usize) -> bool {
        let window = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window = self
            .0
            .changed
            .wait_while(window, |window| window.bytes < bytes && !window.closed)
            .unwrap_or_else(PoisonError::into_inner);
        window.bytes = window.bytes.saturating_sub(bytes);
        !window.closed
    }

    fn give(&self, bytes: usize) {
        self.0
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes += bytes;
        self.0.changed.notify_all();
    }
}
