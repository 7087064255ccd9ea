//! Who starts the agent, and in what surroundings: a service without root, a process that does not
//! see a part of the system, a setting of the kernel. All of it ends when the test is over.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, capabilities, capabilities_secure_bits,
    clear_ambient_capability_set, configure_capability_in_ambient_set, set_capabilities,
    set_capabilities_secure_bits,
};

/// The user and group `nobody` of every distribution.
pub(crate) const NOBODY: u32 = 65534;

/// What the service is given.
pub(crate) const SERVICE: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYSLOG);

/// While it lives, children that become [`NOBODY`] keep these capabilities, as a service manager
/// hands them on.
pub(crate) struct HandedOn {
    bits: CapabilitiesSecureBits,
}

impl HandedOn {
    pub(crate) fn new(handed: CapabilitySet) -> Result<Self> {
        let bits = capabilities_secure_bits()?;
        let mut sets = capabilities(None)?;
        sets.inheritable = handed;
        set_capabilities(None, sets).context("root is needed")?;
        let kept = Self { bits };
        for capability in handed.iter() {
            configure_capability_in_ambient_set(capability, true)
                .with_context(|| format!("{capability:?} cannot be handed on"))?;
        }
        set_capabilities_secure_bits(bits | CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        Ok(kept)
    }

    /// Makes the command's process nobody's, with what is handed on.
    pub(crate) fn to(&self, command: &mut Command) {
        command.uid(NOBODY).gid(NOBODY);
    }
}

impl Drop for HandedOn {
    fn drop(&mut self) {
        // Each can only fail for want of what this process had a moment ago.
        let _had_before = set_capabilities_secure_bits(self.bits);
        let _had_before = clear_ambient_capability_set();
        if let Ok(mut sets) = capabilities(None) {
            sets.inheritable = CapabilitySet::empty();
            let _had_before = set_capabilities(None, sets);
        }
    }
}

/// A file of `/proc/sys` or the like that says something else while this lives.
#[derive(Debug)]
pub(crate) struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    /// `None` where the kernel has no such file.
    pub(crate) fn set(path: &'static str, value: &str) -> Result<Option<Self>> {
        let Ok(before) = fs::read_to_string(path) else {
            return Ok(None);
        };
        fs::write(path, value).with_context(|| format!("{value} cannot be written to {path}"))?;
        Ok(Some(Self { path, before }))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // The guest's other tests would tell.
        let _tests_tell = fs::write(self.path, self.before.trim());
    }
}

/// The program and arguments in a mount namespace of its own, which `script` has changed before.
pub(crate) fn after_mounts(command: &Command, script: &str) -> Command {
    let mut changed = Command::new("unshare");
    changed.arg("-m").args(in_shell(script));
    handed_over(changed, command)
}

/// The program and arguments in a pid namespace of its own, as in most containers.
pub(crate) fn in_pid_namespace(command: &Command) -> Command {
    let mut changed = Command::new("unshare");
    changed.args(["-m", "-p", "-f", "--mount-proc"]);
    handed_over(changed, command)
}

/// The program and arguments after `script`, by a shell that becomes the program.
pub(crate) fn after(command: &Command, script: &str) -> Command {
    let mut changed = Command::new("sh");
    changed.args(&in_shell(script)[1..]);
    handed_over(changed, command)
}

fn in_shell(script: &str) -> [String; 4] {
    let script = format!("{script}; exec \"$@\"");
    ["sh".into(), "-ec".into(), script, "sh".into()]
}

fn handed_over(mut shell: Command, command: &Command) -> Command {
    shell.arg(command.get_program()).args(command.get_args());
    shell
}
