//! The object and what is attached of it, for as long as this lives.

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};
use log::warn;

use super::kprobes::Kprobes;
use crate::kernel::ftrace;

/// Detaches on drop, when to do so harms nobody.
pub(super) struct Attachments {
    pub(super) ebpf: Ebpf,
    pub(super) kprobes: Kprobes,
}

impl Attachments {
    fn are_of_ftrace(&self) -> bool {
        let by_trampoline = |it: &Program| match it {
            Program::FEntry(it) => it.fd().is_ok(),
            Program::FExit(it) => it.fd().is_ok(),
            _ => false,
        };
        ftrace::HAS_KPROBES || self.ebpf.programs().any(|(_, it)| by_trampoline(it))
    }
}

impl Drop for Attachments {
    fn drop(&mut self) {
        let _on = self.are_of_ftrace().then(ftrace::on);
        self.kprobes.detach();
        for (name, program) in self.ebpf.programs_mut() {
            let detached = match program {
                Program::FEntry(it) => it.unload(),
                Program::FExit(it) => it.unload(),
                _ => continue,
            };
            match detached {
                Ok(()) | Err(ProgramError::NotLoaded) => {}
                Err(error) => warn!("{name}: not detached: {error}"),
            }
        }
    }
}
