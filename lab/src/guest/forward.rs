//! TCP connections from the host's port to the guest's, over the forward line.
//! Leaves out fairness: one connection that does not read holds up the others.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpStream},
    sync::mpsc,
    thread,
};

use super::line::{LineReader, LineWriter};
use crate::wire::{Frame, MAX_PAYLOAD};

/// Serves the line for as long as the guest lives.
pub fn serve(mut reader: LineReader, writer: &LineWriter, port: u16) {
    let mut connections: HashMap<u32, mpsc::Sender<Vec<u8>>> = HashMap::new();
    loop {
        match reader.read() {
            Ok(Some(Frame::Open(id))) => {
                let (sender, receiver) = mpsc::channel();
                connections.insert(id, sender);
                let writer = writer.clone();
                thread::spawn(move || connect(id, port, receiver, &writer));
            }
            Ok(Some(Frame::Data(id, bytes))) => {
                let length = bytes.len() as u32;
                let taken = connections
                    .get(&id)
                    .is_some_and(|to| to.send(bytes).is_ok());
                if !taken {
                    writer.send(&Frame::Credit(length));
                }
            }
            Ok(Some(Frame::Close(id))) => drop(connections.remove(&id)),
            Ok(Some(other)) => eprintln!("init: {other:?} makes no sense on the forward line"),
            Ok(None) => return,
            Err(error) => return eprintln!("init: forward line: {error}"),
        }
    }
}

/// One connection, both ways, until either side ends it.
fn connect(id: u32, port: u16, from_host: mpsc::Receiver<Vec<u8>>, writer: &LineWriter) {
    let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return writer.send(&Frame::Close(id));
    };
    let Ok(mut answers) = socket.try_clone() else {
        return writer.send(&Frame::Close(id));
    };
    let to_host = writer.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_PAYLOAD];
        while let Ok(read @ 1..) = answers.read(&mut buffer) {
            to_host.send(&Frame::Data(id, buffer[..read].to_vec()));
        }
        to_host.send(&Frame::Close(id));
    });
    for bytes in from_host {
        // A socket that is gone ends the reading side too, which tells the host.
        let _ = socket.write_all(&bytes);
        writer.send(&Frame::Credit(bytes.len() as u32));
    }
    let _ = socket.shutdown(Shutdown::Write);
}
