//! A disk that keeps one answer back: a network block device whose server is a child of this process.
//! It gives zeros for every other read, and takes no writes. What is read, and who ends meanwhile, is the mode's.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, getppid, pidfd_open};

use super::device;
use super::fork::{fork, leave};

const DEVICE: &str = "/dev/nbd0";

/// Its sectors: none without a server, and what a server said last of all when it began.
const SECTORS: &str = "/sys/block/nbd0/size";

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(30);

const BYTES: u64 = 4 << 20;

/// Reads from here on are answered only when standard input has ended. Below is what the kernel reads of
/// itself, to see what partitions there are.
pub(crate) const MUTE_FROM: u64 = 1 << 20;
pub(crate) const MUTE_BYTES: u64 = 1 << 20;

/// Starts it, in a child of this process, which must have one thread. It ends with this process. Gives the disk,
/// to be read past the page cache.
pub(crate) fn start() -> Result<File> {
    let device = device::open(DEVICE)?;
    ensure!(!is_served()?, "{DEVICE} has another server");
    let (ours, kernels) = UnixStream::pair()?;
    if fork()?.is_none() {
        if let Err(error) = Server::prepare(device, ours, kernels).and_then(Server::run) {
            eprintln!("workload: the disk: {error:#}");
        }
        leave();
    }
    drop((ours, kernels, device));
    let deadline = Instant::now() + PATIENCE;
    while !is_served()? {
        ensure!(
            Instant::now() < deadline,
            "{DEVICE} is not served within {PATIENCE:?}"
        );
        thread::yield_now();
    }
    let mut readable = OpenOptions::new();
    readable.read(true).custom_flags(libc::O_DIRECT);
    let disk = readable.open(DEVICE);
    disk.with_context(|| format!("{DEVICE} cannot be opened with O_DIRECT"))
}

fn is_served() -> Result<bool> {
    let sectors = fs::read_to_string(SECTORS);
    let sectors = sectors.with_context(|| format!("{SECTORS} cannot be read"))?;
    Ok(sectors.trim() != "0")
}

/// Requests to the device, `include/uapi/linux/nbd.h`.
mod ask {
    pub(super) const SET_SOCKET: libc::Ioctl = 0xab00;
    pub(super) const SET_BYTES: libc::Ioctl = 0xab02;
    pub(super) const DO_IT: libc::Ioctl = 0xab03;
    pub(super) const DISCONNECT: libc::Ioctl = 0xab08;
}

/// `struct nbd_request`, all of it big-endian: magic, kind, handle, offset, length.
const REQUEST: usize = 28;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const READ: u32 = 0;

/// `struct nbd_reply`: magic, error, handle.
const REPLY_MAGIC: u32 = 0x6744_6698;
const OK: u32 = 0;

struct Server {
    device: File,
    socket: UnixStream,
    parent: OwnedFd,
    /// The answers that are kept back.
    kept: Vec<Request>,
    is_mute: bool,
}

struct Request {
    handle: [u8; 8],
    bytes: usize,
}

impl Server {
    fn prepare(device: File, socket: UnixStream, kernels: UnixStream) -> Result<Self> {
        let parent = getppid().context("there is no parent")?;
        let parent = pidfd_open(parent, PidfdFlags::empty())?;
        tell(&device, ask::SET_BYTES, BYTES)?;
        tell(&device, ask::SET_SOCKET, kernels.as_raw_fd() as u64)?;
        let served = device.try_clone()?;
        // Until the device is disconnected.
        thread::spawn(move || {
            let _as_it_ends = tell(&served, ask::DO_IT, 0);
            drop(kernels);
        });
        Ok(Self {
            device,
            socket,
            parent,
            kept: Vec::new(),
            is_mute: true,
        })
    }

    fn run(mut self) -> Result<()> {
        let stdin = std::io::stdin();
        loop {
            let mut looked_at = vec![
                PollFd::new(&self.parent, PollFlags::IN),
                PollFd::new(&self.socket, PollFlags::IN),
            ];
            if self.is_mute {
                looked_at.push(PollFd::new(&stdin, PollFlags::empty()));
            }
            poll(&mut looked_at, None)?;
            let came: Vec<_> = looked_at
                .iter()
                .map(|it| !it.revents().is_empty())
                .collect();
            if came[0] {
                return tell(&self.device, ask::DISCONNECT, 0);
            }
            if came[1] {
                self.take()?;
            }
            if came.get(2) == Some(&true) {
                self.is_mute = false;
                for request in std::mem::take(&mut self.kept) {
                    self.answer(&request)?;
                }
            }
        }
    }

    fn take(&mut self) -> Result<()> {
        let mut request = [0; REQUEST];
        self.socket.read_exact(&mut request)?;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|it| request[at + it]));
        let offset = u64::from_be_bytes(std::array::from_fn(|it| request[16 + it]));
        ensure!(
            word(0) == REQUEST_MAGIC && word(4) == READ,
            "a request that is no read: {request:x?}"
        );
        let request = Request {
            handle: std::array::from_fn(|it| request[8 + it]),
            bytes: word(24) as usize,
        };
        if self.is_mute && (MUTE_FROM..MUTE_FROM + MUTE_BYTES).contains(&offset) {
            self.kept.push(request);
            return Ok(());
        }
        self.answer(&request)
    }

    fn answer(&mut self, request: &Request) -> Result<()> {
        let mut reply = [REPLY_MAGIC.to_be_bytes(), OK.to_be_bytes()].concat();
        reply.extend(request.handle);
        reply.resize(reply.len() + request.bytes, 0);
        Ok(self.socket.write_all(&reply)?)
    }
}

fn tell(device: &File, request: libc::Ioctl, argument: u64) -> Result<()> {
    // SAFETY: these requests take a number, and no address.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), request, argument) };
    ensure!(
        answer == 0,
        "{DEVICE} refuses request {request:#x}: {}",
        Error::last_os_error()
    );
    Ok(())
}
