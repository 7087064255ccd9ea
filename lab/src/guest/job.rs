//! What a guest is asked to do: written by the host into the initramfs, read by init.
//! Leaves out everything that QEMU itself is told on its command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the job lies in the initramfs.
pub const JOB_PATH: &str = "/lab/job.json";

/// The whole of what init does between hello and power off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The serial line that carries the command's streams and its verdict.
    pub command_line: String,
    /// The serial line that carries forwarded TCP connections.
    pub forward_line: String,
    /// The program, found on `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Environment of the command, besides `PATH` and `HOME`.
    pub environment: BTreeMap<String, String>,
    /// Rows and columns of the terminal that the command gets; without one it gets pipes.
    pub terminal: Option<(u16, u16)>,
    /// Kernel modules as paths in the initramfs, in the order in which they load.
    pub modules: Vec<String>,
    /// Disks that must be there before the command starts.
    pub disks: Vec<Disk>,
    /// What is packed onto the fetch disk once the command has ended.
    pub fetch: Option<Fetch>,
    /// The guest's TCP port that the forward line reaches.
    pub forward: Option<u16>,
    /// A system with an init of its own, in which the command runs.
    pub system: Option<System>,
}

/// A disk, known by its serial number: the order in which NVMe disks appear is not fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Serial number given to QEMU; `/dev/SERIAL` links to the device.
    pub serial: String,
    /// File system on it, mounted at `/mnt/SERIAL`; a raw disk has none.
    pub file_system: Option<String>,
}

/// A system on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// Serial number of the disk that it is on.
    pub serial: String,
    /// File system of that disk.
    pub file_system: String,
}

/// Files that go back to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Serial number of the scratch disk that takes the archive.
    pub serial: String,
    /// Guest paths.
    pub paths: Vec<String>,
}
