//! A guest from its description to its verdict; leaves out how one boot of it is done.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;

use super::{Copy, Disk, Fetch, boot::Boot, forward::Forward, session::Outcome};
use crate::{build::guest::Binary, kernels::store::Kernel, say};

/// Exit code where the lab itself failed, as container tools have it.
const LAB_FAILED: u8 = 125;

/// Exit code where the time set was over, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

/// How often a guest is started that dies before init says hello.
const BOOTS: u32 = 3;

/// Everything about a guest that is decided before it starts.
pub(crate) struct Guest {
    pub(crate) kernel: Kernel,
    /// The disk of the system that it boots into; without one it stays in the initramfs.
    pub(crate) system: Option<PathBuf>,
    pub(crate) binaries: Vec<Binary>,
    pub(crate) command: Vec<String>,
    /// Folders that hold unpacked Debian packages.
    pub(crate) packages: Vec<PathBuf>,
    pub(crate) copies: Vec<Copy>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) modules: Vec<String>,
    pub(crate) memory: u64,
    pub(crate) cpus: u32,
    /// NUMA nodes.
    pub(crate) nodes: u32,
    pub(crate) forward: Option<u16>,
    pub(crate) kvm: bool,
    pub(crate) icount: bool,
    pub(crate) append: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) terminal: bool,
    pub(crate) input: Input,
}

/// What the command reads on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// What this process reads on its own.
    Person,
    /// An end of file at once.
    Nothing,
}

impl Guest {
    /// A guest with two CPUs and 1 GiB that runs nothing yet.
    pub(crate) fn new(kernel: Kernel, binaries: Vec<Binary>) -> Self {
        Self {
            kernel,
            system: None,
            binaries,
            command: Vec::new(),
            packages: Vec::new(),
            copies: Vec::new(),
            fetches: Vec::new(),
            disks: Vec::new(),
            modules: Vec::new(),
            memory: 1 << 30,
            cpus: 2,
            nodes: 1,
            forward: None,
            kvm: false,
            icount: false,
            append: String::new(),
            timeout: None,
            terminal: false,
            input: Input::Person,
        }
    }

    /// Boots it with the person's own standard streams and gives the exit code to end with.
    pub(crate) fn run(&self) -> anyhow::Result<u8> {
        let forward = self.forward.map(Forward::bind).transpose()?;
        for attempt in 1..=BOOTS {
            let boot = Boot::prepare(self)?;
            match boot.run(self, forward.as_ref())? {
                Outcome::Exited(code) => {
                    boot.fetch(&self.fetches)?;
                    return Ok(code);
                }
                Outcome::Died { said_hello: false } => {
                    boot.show_console(self);
                    say::step(
                        "lab",
                        format_args!(
                            "the guest died before it said hello (boot {attempt} of {BOOTS})"
                        ),
                    );
                }
                Outcome::Died { said_hello: true } => {
                    boot.show_console(self);
                    say::step("lab", "the guest died while the command ran");
                    return Ok(LAB_FAILED);
                }
                Outcome::Fault(text) => {
                    boot.show_console(self);
                    say::step(
                        "lab",
                        format_args!("the guest could not do what was asked: {text}"),
                    );
                    return Ok(LAB_FAILED);
                }
                Outcome::Damaged(error) => {
                    return Err(error).context("what the guest said was damaged on the way");
                }
                Outcome::TimedOut => {
                    say::step("lab", "the time is over; the guest is ended");
                    return Ok(TIMED_OUT);
                }
                Outcome::Interrupted(signal) => {
                    return Ok(128 + u8::try_from(signal).unwrap_or_default());
                }
            }
        }
        Ok(LAB_FAILED)
    }
}
