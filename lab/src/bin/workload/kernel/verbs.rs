//! Memory registered with an RDMA device, by the calls that libibverbs makes: the kernel pins it for
//! long and for writing. Nothing is sent.

use std::fs::{self, File};
use std::io::{Error, Write};

use anyhow::{Context, Result, ensure};

use super::device;
use super::mapping::Span;

/// Where devices say which file they are under.
const CLASS: &str = "/sys/class/infiniband_verbs";

/// `IB_USER_VERBS_CMD_*`.
const GET_CONTEXT: u32 = 0;
const ALLOCATE_DOMAIN: u32 = 3;
const REGISTER: u32 = 9;
const DEREGISTER: u32 = 13;

/// `IB_ACCESS_LOCAL_WRITE`.
const LOCAL_WRITE: u32 = 1;

/// A device that was opened; what was registered ends with it.
#[derive(Debug)]
pub(crate) struct Device {
    file: File,
    domain: u32,
}

/// A registration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region(u32);

impl Device {
    /// Opens the device of this name.
    pub(crate) fn open(device: &str) -> Result<Self> {
        let mut names = fs::read_dir(CLASS).with_context(|| format!("{CLASS} cannot be read"))?;
        let name = names
            .find_map(|it| {
                let it = it.ok()?;
                let is_of = fs::read_to_string(it.path().join("ibdev")).ok()?;
                (is_of.trim() == device).then(|| it.file_name())
            })
            .with_context(|| format!("{CLASS} has no {device}"))?;
        let mut device = Self {
            file: device::open(&format!("/dev/infiniband/{}", name.display()))?,
            domain: 0,
        };
        device.ask(GET_CONTEXT, "a context", &[], 2)?;
        device.domain = device.ask(ALLOCATE_DOMAIN, "a protection domain", &[], 1)?;
        Ok(device)
    }

    /// Registers `span`.
    pub(crate) fn register(&self, span: Span) -> Result<Region> {
        let address = span.address as u64;
        let wanted = [
            address,
            span.length as u64,
            address,
            u64::from(self.domain) | u64::from(LOCAL_WRITE) << 32,
        ];
        Ok(Region(self.ask(REGISTER, "a registration", &wanted, 3)?))
    }

    /// Releases a registration.
    pub(crate) fn deregister(&self, region: Region) -> Result<()> {
        let mut command = header(DEREGISTER, 1, 0);
        command.extend(region.0.to_ne_bytes());
        self.write(&command, "the end of a registration")
    }

    /// Asks for something whose answer has as many words; the first is its handle.
    fn ask(&self, code: u32, what: &str, wanted: &[u64], answer_words: u16) -> Result<u32> {
        let mut answer = [0_u32; 4];
        let mut command = header(code, 2 + 2 * wanted.len() as u16, answer_words);
        command.extend((answer.as_mut_ptr() as u64).to_ne_bytes());
        command.extend(wanted.iter().flat_map(|word| word.to_ne_bytes()));
        self.write(&command, what)?;
        // SAFETY: the kernel stored there, through an address that the compiler does not know of.
        Ok(unsafe { answer.as_ptr().read_volatile() })
    }

    fn write(&self, command: &[u8], what: &str) -> Result<()> {
        let written = (&self.file)
            .write(command)
            .with_context(|| format!("RDMA: {what} was refused"))?;
        ensure!(
            written == command.len(),
            "RDMA: {what}: {written} bytes were taken: {}",
            Error::last_os_error()
        );
        Ok(())
    }
}

/// `struct ib_uverbs_cmd_hdr`, with lengths in words of four bytes: its own two are in the command's.
fn header(code: u32, words: u16, answer_words: u16) -> Vec<u8> {
    let mut bytes = code.to_ne_bytes().to_vec();
    bytes.extend((2 + words).to_ne_bytes());
    bytes.extend(answer_words.to_ne_bytes());
    bytes
}
