//! Loading every program and attaching none, to see what the verifier makes of each.

use std::{collections::HashMap, time::Instant};

use aya::programs::{Program, ProgramError, ProgramInfo};
use hooks::Entries;

use super::{
    answering, census,
    loading::{Loading, load_together, programs_for},
    object::{self, Wanted},
};
use crate::error::{AgentError, chain};

/// What the verifier made of one program.
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// Instructions it looked at (unknown before Linux 5.16), or why it refused.
    pub(crate) verified: Result<Option<u32>, String>,
    pub(crate) load_ms: u128,
}

/// Loads the programs that `steps` would attach, attaches none, and reports each.
pub(crate) fn load_all(
    wanted: &Wanted<'_>,
    mut report: impl FnMut(Loaded) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let mut ebpf = object::load(wanted)?.ebpf;
    let mut order = Vec::new();
    let mut symbols = HashMap::new();
    for (candidate, methods) in wanted.steps.iter().flat_map(|step| &step.usable) {
        for name in methods
            .iter()
            .flat_map(|method| programs_for(&ebpf, candidate, *method, Entries::Needed))
        {
            if symbols.insert(name.clone(), candidate.symbol).is_none() {
                order.push(name);
            }
        }
    }
    let mut loaded = load_together(&mut ebpf, wanted, &symbols);
    for name in order {
        let Some((program, Loading { result, took })) = loaded.remove(name.as_str()) else {
            continue;
        };
        report(Loaded {
            name,
            verified: verified(result, program.info()),
            load_ms: took.as_millis(),
        })?;
    }
    for name in answering::PROGRAMS.into_iter().chain([census::PROGRAM]) {
        let Some(Program::RawTracePoint(program)) = ebpf.program_mut(name) else {
            continue;
        };
        let start = Instant::now();
        let result = program.load();
        report(Loaded {
            name: name.to_owned(),
            load_ms: start.elapsed().as_millis(),
            verified: verified(result, program.info()),
        })?;
    }
    Ok(())
}

fn verified(
    loaded: Result<(), ProgramError>,
    info: Result<ProgramInfo, ProgramError>,
) -> Result<Option<u32>, String> {
    loaded.map_err(|it| chain(&it))?;
    Ok(info.ok().and_then(|it| it.verified_instruction_count()))
}
