//! Loads the programs that are attached to nothing and answer questions.

use aya::{
    Ebpf,
    programs::{Program, ProgramError, ProgramFd},
};
use bytemuck::Pod;
use log::warn;
use probe_abi::{AMENDMENTS_AT_ONCE, FOLIOS_AT_ONCE, PROCESSES_AT_ONCE};

use super::object::array;
use crate::{
    error::{AgentError, chain},
    kernel::inspect::{Inspector, Question},
};

/// Their names in the object.
pub(super) const PROGRAMS: [&str; 5] = ["resolve", "inspect", "look_up", "count_pins", "amend"];

/// The one that says what a pointer stands for, alone.
pub(super) fn names(ebpf: &mut Ebpf) -> Inspector {
    let without = "files and cgroups have no names";
    Inspector {
        names: question(ebpf, PROGRAMS[0], "ANSWER", 1, without),
        ..Inspector::default()
    }
}

/// All of them, as far as the kernel takes them; of the others it is said what is not known.
pub(super) fn inspector(ebpf: &mut Ebpf, cpus: u32) -> Inspector {
    let [names, folios, processes, nodes, amendments] = PROGRAMS;
    Inspector {
        names: question(ebpf, names, "ANSWER", 1, "files and cgroups have no names"),
        folios: question(
            ebpf,
            folios,
            "FOLIOS",
            FOLIOS_AT_ONCE,
            "the ledger cannot be held against the kernel's count of a folio",
        ),
        processes: question(
            ebpf,
            processes,
            "PROCESSES",
            PROCESSES_AT_ONCE,
            "whether a process is alive is asked of /proc",
        ),
        nodes: question(
            ebpf,
            nodes,
            "NODE",
            1,
            "the kernel's count of pins is that of /proc/vmstat, which may be old",
        ),
        amendments: question(
            ebpf,
            amendments,
            "AMENDMENTS",
            AMENDMENTS_AT_ONCE,
            "the ledger cannot be put right",
        ),
        amended: std::cell::Cell::default(),
        cpus,
    }
}

fn question<T: Pod>(
    ebpf: &mut Ebpf,
    program: &'static str,
    values: &'static str,
    count: usize,
    without: &str,
) -> Option<Question<T>> {
    load(ebpf, program, values, count)
        .inspect_err(|error| warn!("{without}: {}", chain(error)))
        .ok()
}

fn load<T: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    values: &'static str,
    count: usize,
) -> Result<Question<T>, AgentError> {
    let refused = |it: &dyn std::error::Error| AgentError::Map {
        name: values,
        reason: chain(it),
    };
    let fd = load_to_run(ebpf, name).map_err(|it| refused(&it))?;
    Question::new(fd, array(ebpf, values)?, values, count)
}

/// Loads a program that is attached to nothing.
pub(super) fn load_to_run(ebpf: &mut Ebpf, name: &str) -> Result<ProgramFd, ProgramError> {
    let Some(Program::RawTracePoint(program)) = ebpf.program_mut(name) else {
        return Err(ProgramError::InvalidName {
            name: name.to_owned(),
        });
    };
    program.load()?;
    Ok(program.fd()?.try_clone()?)
}
