//! An RDMA device in software over the loopback device (`rdma link add`), as netlink has it.
//! Which drivers there are is the kernel's matter; what is done with the device is `verbs`'.

use std::ffi::CStr;
use std::fs;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Result, ensure};

use lab::absent::absent;

/// `NETLINK_RDMA`, and its client `RDMA_NL_NLDEV`.
const FAMILY: libc::c_int = 20;
const CLIENT: u16 = 5 << 10;
const NEW_LINK: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_AND_ANSWER: u16 = 1 | 4;
/// `RDMA_NLDEV_ATTR_*`.
const DEVICE_NAME: u16 = 2;
const NETWORK_DEVICE: u16 = 51;
const LINK_TYPE: u16 = 65;

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// Its driver and the name that it gets.
const DRIVER: &CStr = c"rxe";
const NAME: &CStr = c"workload0";

/// Makes the device over `lo`, unless it is there already, and says its name. It stays: a guest has
/// nothing else that it could be in the way of.
pub(crate) fn make() -> Result<&'static str> {
    if !fs::exists("/sys/module/rdma_rxe")? {
        return Err(absent("this kernel has no module rdma_rxe"));
    }
    let name = NAME.to_str()?;
    let place = format!("/sys/class/infiniband/{name}");
    if fs::exists(&place)? {
        return Ok(name);
    }
    // SAFETY: the call takes numbers only.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, FAMILY) };
    ensure!(
        socket >= 0,
        "netlink for RDMA was refused: {}",
        Error::last_os_error()
    );
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut message = Message::new(NEW_LINK);
    message.add(DEVICE_NAME, NAME.to_bytes_with_nul());
    message.add(LINK_TYPE, DRIVER.to_bytes_with_nul());
    message.add(NETWORK_DEVICE, c"lo".to_bytes_with_nul());
    message.send(&socket, "a device over lo")?;
    ensure!(
        fs::exists(&place)?,
        "the device just made is not at {place}"
    );
    Ok(name)
}

struct Message(Vec<u8>);

impl Message {
    fn new(command: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend((CLIENT | command).to_ne_bytes());
        bytes.extend(REQUEST_AND_ANSWER.to_ne_bytes());
        bytes.resize(HEADER, 0);
        Self(bytes)
    }

    fn add(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Sends it, and takes the answer: an error number, 0 for none.
    fn send(mut self, socket: &OwnedFd, what: &str) -> Result<()> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        let socket = socket.as_raw_fd();
        // SAFETY: as many bytes as there are.
        let sent = unsafe { libc::send(socket, self.0.as_ptr().cast(), self.0.len(), 0) };
        ensure!(
            sent == self.0.len().cast_signed(),
            "RDMA: {what} cannot be asked for: {}",
            Error::last_os_error()
        );
        let mut answer = [0_u8; 512];
        // SAFETY: room for as many bytes as announced.
        let got = unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) };
        ensure!(
            got >= (HEADER + 4).cast_signed(),
            "RDMA: no answer to {what}: {}",
            Error::last_os_error()
        );
        let number = answer[HEADER..].first_chunk().copied().unwrap_or_default();
        let number = i32::from_ne_bytes(number);
        ensure!(
            number == 0,
            "RDMA: {what} was refused: {}",
            Error::from_raw_os_error(-number)
        );
        Ok(())
    }
}
