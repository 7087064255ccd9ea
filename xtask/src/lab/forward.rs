//! A TCP port of this host that leads into the guest, over its forward line.
//! Leaves out every address but 127.0.0.1: what a guest serves is this machine's alone.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use lab::wire::Frame;

use super::port::{self, Arrival, Port};
use crate::refused;

/// The listening socket, bound before a guest is started so that a busy port costs nothing.
pub(crate) struct Forward {
    listener: TcpListener,
}

type Connections = Arc<Mutex<HashMap<u32, TcpStream>>>;

impl Forward {
    pub(crate) fn bind(port: u16) -> anyhow::Result<Self> {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => Ok(Self { listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(refused(format!(
                "port {port} of 127.0.0.1 is in use: stop what listens there"
            ))),
            Err(error) => Err(error).with_context(|| format!("cannot listen on 127.0.0.1:{port}")),
        }
    }

    /// Makes the line of one boot; connections are accepted once [`Started::serve`] is called.
    pub(crate) fn line(&self) -> anyhow::Result<(Started, OwnedFd)> {
        let connections = Connections::default();
        let of_reader = Arc::clone(&connections);
        let (port, qemus) = port::open(move |arrival| deliver(arrival, &of_reader))?;
        Ok((
            Started {
                listener: self.listener.try_clone()?,
                port,
                connections,
            },
            qemus,
        ))
    }
}

/// The forward line of a running guest.
pub(crate) struct Started {
    listener: TcpListener,
    port: Port,
    connections: Connections,
}

impl Started {
    /// Accepts connections from now on, until xtask ends.
    pub(crate) fn serve(self) {
        thread::spawn(move || {
            let next = AtomicU32::new(1);
            for socket in self.listener.incoming().flatten() {
                let id = next.fetch_add(1, Ordering::Relaxed);
                let (port, connections) = (self.port.clone(), Arc::clone(&self.connections));
                thread::spawn(move || connection(id, socket, &port, &connections));
            }
        });
    }
}

/// One connection's way to the guest; the way back is [`deliver`]'s.
fn connection(id: u32, mut socket: TcpStream, port: &Port, connections: &Connections) {
    let Ok(back) = socket.try_clone() else {
        return;
    };
    connections
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, back);
    port.send(&Frame::Open(id));
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        if !port.send_bytes(&buffer[..read], |bytes| Frame::Data(id, bytes)) {
            return;
        }
    }
    port.send(&Frame::Close(id));
}

fn deliver(arrival: Arrival, connections: &Connections) {
    let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
    match arrival {
        Arrival::Frame(Frame::Data(id, bytes)) => {
            let gone = connections
                .get_mut(&id)
                .is_none_or(|socket| socket.write_all(&bytes).is_err());
            if gone {
                connections.remove(&id);
            }
        }
        Arrival::Frame(Frame::Close(id)) => {
            if let Some(socket) = connections.remove(&id) {
                // Fails only if the other side has closed it already.
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        Arrival::Frame(_) => {}
        Arrival::End(_) => {
            for (_, socket) in connections.drain() {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}
