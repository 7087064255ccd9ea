//! Datagrams sent with `MSG_ZEROCOPY` over loopback: the kernel references the sender's
//! pages (`FOLL_GET`) instead of copying them, and says on the error queue when it let go.

use std::io::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::mapping::Span;
use lab::page::page_bytes;

/// Pages of one datagram: few enough for the fragments of one socket buffer.
const FRAGMENTS: usize = 8;

/// Bytes of the longest datagram.
const LONGEST: usize = 65_507;

const PATIENCE: Duration = Duration::from_secs(10);

/// Pages that one datagram may lie in: of small pages eight, of those of 64 KiB one.
pub(crate) fn pages_at_once() -> usize {
    FRAGMENTS.min(LONGEST.div_ceil(page_bytes()))
}

/// Two sockets, one sending to the other.
#[derive(Debug)]
pub(crate) struct Pair {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Pair {
    /// Opens both on loopback.
    pub(crate) fn open() -> Result<Self> {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .context("loopback cannot be used (is lo up?)")?;
        receiver.set_read_timeout(Some(PATIENCE))?;
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        sender.connect(receiver.local_addr()?)?;
        let on: libc::c_int = 1;
        let value = &raw const on;
        // SAFETY: the option's value is an int, as long as announced.
        let answer = unsafe {
            libc::setsockopt(
                sender.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ZEROCOPY,
                value.cast(),
                4,
            )
        };
        ensure!(
            answer == 0,
            "SO_ZEROCOPY was refused: {}",
            Error::last_os_error()
        );
        Ok(Self { sender, receiver })
    }

    /// Sends `span` as one datagram, or as much of it as fits in one; receives it, and comes back when the kernel has
    /// said that it let go of the pages.
    pub(crate) fn send(&self, span: Span) -> Result<()> {
        ensure!(
            span.pages() <= pages_at_once(),
            "a datagram has at most {} pages",
            pages_at_once()
        );
        let length = span.length.min(LONGEST);
        let bytes = span.address as *const libc::c_void;
        let socket = self.sender.as_raw_fd();
        // SAFETY: the kernel checks the range and only reads it.
        let sent = unsafe { libc::send(socket, bytes, length, libc::MSG_ZEROCOPY) };
        ensure!(
            sent == length.cast_signed(),
            "send with MSG_ZEROCOPY gave {sent}: {}",
            Error::last_os_error()
        );
        let mut arrived = vec![0; LONGEST];
        let got = self
            .receiver
            .recv(&mut arrived)
            .context("a datagram did not arrive")?;
        ensure!(got == length, "{got} of {length} bytes arrived");
        self.wait_for_completion()
    }

    /// One completion per datagram, and one datagram at a time: its content tells nothing new.
    fn wait_for_completion(&self) -> Result<()> {
        let mut ready = libc::pollfd {
            fd: self.sender.as_raw_fd(),
            events: 0,
            revents: 0,
        };
        let patience = libc::c_int::try_from(PATIENCE.as_millis())?;
        // SAFETY: one descriptor, as announced; an error queue is always polled for.
        let answer = unsafe { libc::poll(&raw mut ready, 1, patience) };
        if answer <= 0 {
            bail!("no completion of a MSG_ZEROCOPY send within {PATIENCE:?}");
        }
        let mut control = [0_u64; 16];
        // SAFETY: all zero is an empty message header.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header names one buffer, as long as announced.
        let got = unsafe {
            libc::recvmsg(
                self.sender.as_raw_fd(),
                &raw mut message,
                libc::MSG_ERRQUEUE,
            )
        };
        ensure!(
            got >= 0,
            "the error queue cannot be read: {}",
            Error::last_os_error()
        );
        Ok(())
    }
}
