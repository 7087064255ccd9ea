//! QEMU's command line for a guest, and its life: it never outlives xtask or this guard.
//! Leaves out what goes over its serial lines.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{Guest, disk};
use crate::{guard, setup};

/// How long QEMU may take to end once the guest has said its last word.
const POWER_OFF_WITHIN: Duration = Duration::from_secs(20);

/// For every machine.
const COMMAND_LINE: &str = "panic=-1 quiet";

/// The files and sockets that a machine is started with.
pub(crate) struct Parts<'a> {
    pub(crate) initramfs: &'a Path,
    pub(crate) console: &'a Path,
    pub(crate) errors: File,
    pub(crate) command_line: OwnedFd,
    pub(crate) forward_line: OwnedFd,
    /// QEMU's arguments for the disks.
    pub(crate) disks: &'a [String],
}

/// A running QEMU, killed when dropped.
pub(crate) struct Machine(Child);

impl Machine {
    /// Starts it.
    pub(crate) fn start(guest: &Guest, parts: Parts<'_>) -> anyhow::Result<Self> {
        let arch = guest.kernel.arch();
        let machine = arch.machine();
        let accelerator: &[&str] = if guest.kvm {
            &["-accel", "kvm", "-cpu", "host"]
        } else if guest.icount {
            &[
                "-accel",
                "tcg",
                "-cpu",
                "max",
                "-icount",
                "shift=0,sleep=off",
            ]
        } else {
            // A /dev/kvm that opens is no proof that it works, so it is never tried unasked.
            &["-accel", "tcg", "-cpu", machine.emulated_cpu]
        };
        let cpus = if guest.icount { 1 } else { guest.cpus };
        let mut command = guard::command(&setup::qemu::program(arch)?)?;
        command
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(accelerator)
            .args(["-smp", &cpus.to_string()])
            .args(memory(guest.memory, guest.nodes, cpus))
            .arg("-kernel")
            .arg(&guest.kernel.image)
            .arg("-initrd")
            .arg(parts.initramfs)
            .args([
                "-append",
                &format!("{COMMAND_LINE} {} {}", machine.command_line, guest.append),
            ])
            .args([
                "-chardev",
                &format!("file,id=console,path={}", disk::escaped(parts.console)),
            ])
            // The sockets are QEMU's standard input and output: no name, no file to leave behind.
            .args([
                "-chardev",
                "socket,id=command,fd=0",
                "-chardev",
                "socket,id=forward,fd=1",
            ])
            .args(machine.arguments)
            .args(parts.disks)
            .stdin(parts.command_line)
            .stdout(parts.forward_line)
            .stderr(parts.errors)
            // Ctrl-C is for xtask, which then ends the guest in order.
            .process_group(0);
        Ok(Self(command.spawn().context("cannot start QEMU")?))
    }

    /// Waits for the end of a machine that is powering off, and helps if it does not end.
    pub(crate) fn end(mut self) -> anyhow::Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > POWER_OFF_WITHIN {
                self.0.kill()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Of several nodes each has its part of memory and CPUs; the last one has what does not divide.
fn memory(bytes: u64, nodes: u32, cpus: u32) -> Vec<String> {
    let mebibytes = bytes.div_ceil(1 << 20);
    let mut arguments = vec!["-m".to_owned(), format!("{mebibytes}M")];
    if nodes == 1 {
        return arguments;
    }
    let part = |of: u64, node: u32| of * u64::from(node) / u64::from(nodes);
    for node in 0..nodes {
        let mebibytes = part(mebibytes, node + 1) - part(mebibytes, node);
        let its_cpus = part(cpus.into(), node)..part(cpus.into(), node + 1);
        let cpus = match its_cpus.is_empty() {
            true => String::new(),
            false => format!(",cpus={}-{}", its_cpus.start, its_cpus.end - 1),
        };
        arguments.extend([
            "-object".to_owned(),
            format!("memory-backend-ram,id=node{node},size={mebibytes}M"),
            "-numa".to_owned(),
            format!("node,nodeid={node},memdev=node{node}{cpus}"),
        ]);
    }
    arguments
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_share_all_memory_and_all_cpus() {
        let told = memory(3 << 30, 1, 2);
        assert_eq!(told, ["-m", "3072M"]);
        let told = memory((1 << 30) + 1, 2, 3).join(" ");
        for part in [
            "-m 1025M",
            "id=node0,size=512M",
            "node,nodeid=0,memdev=node0,cpus=0-0",
            "id=node1,size=513M",
            "node,nodeid=1,memdev=node1,cpus=1-2",
        ] {
            assert!(told.contains(part), "{told}");
        }
        // One node of two has no CPU, as memory expanders have none.
        let told = memory(1 << 30, 2, 1).join(" ");
        assert!(
            told.contains("memdev=node0 ") && told.ends_with("cpus=0-0"),
            "{told}"
        );
    }
}
