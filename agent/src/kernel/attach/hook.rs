//! Attaching one hook: the candidates of its step in order, until the kernel takes one.

use std::io;

use aya::programs::{ProbeKind, Program, ProgramError};
use hooks::{Candidate, Entries, Method, Need, Reject, Step, program_names};
use log::{debug, info, warn};

use super::{
    links::{Links, Place},
    loading::Loader,
};
use crate::{
    error::{chain, errno},
    kernel::sys::perf::End,
};

/// What became of one hook.
#[derive(Clone, Debug)]
pub(crate) struct HookState {
    pub(crate) name: &'static str,
    /// The symbol that it is attached to and how, if it is.
    pub(crate) attached: Option<(&'static str, Method)>,
    pub(crate) rejected: Vec<(&'static str, Reject)>,
    /// This kernel has nothing to see here.
    pub(crate) not_needed: bool,
}

impl HookState {
    /// Not attached yet.
    fn new(step: &Step) -> Self {
        Self {
            name: step.hook.name,
            attached: None,
            rejected: step.rejected.clone(),
            not_needed: step.not_needed,
        }
    }

    pub(super) fn not_needed(step: &Step) -> Self {
        Self {
            not_needed: true,
            ..Self::new(step)
        }
    }
}

/// Why a candidate could not be attached.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("the kernel refuses the probe")]
    Probe(#[source] io::Error),
}

/// Attaches it, or says of each candidate why not.
pub(super) fn attach_hook(loader: &mut Loader<'_>, links: &Links, step: &Step) -> HookState {
    let mut state = HookState::new(step);
    for (candidate, methods) in &step.usable {
        for method in methods {
            match attach_candidate(loader, links, step.hook.name, candidate, *method) {
                Ok(()) => {
                    info!("{}: {} by {}", state.name, candidate.symbol, method.name());
                    state.attached = Some((candidate.symbol, *method));
                    return state;
                }
                Err(error) => {
                    links.forget(state.name);
                    let why = chain(&error);
                    debug!(
                        "{}: {} by {}: {why}",
                        state.name,
                        candidate.symbol,
                        method.name()
                    );
                    let why = Reject::refused(*method, &why, errno(&error));
                    state.rejected.push((candidate.symbol, why));
                }
            }
        }
    }
    if step.hook.need == Need::Optional {
        info!("{}: no hook; calls are seen at their entry too", state.name);
        return HookState::not_needed(step);
    }
    if !step.not_needed {
        warn!(
            "{}: no hook; its metrics are absent or its verdicts uncertain",
            state.name
        );
        for (symbol, why) in &state.rejected {
            warn!("{}: rejected {symbol}: {why}", state.name);
        }
    }
    state
}

/// When the second half fails, the first stays attached, for the caller to take off.
fn attach_candidate(
    loader: &mut Loader<'_>,
    links: &Links,
    hook: &'static str,
    candidate: &Candidate,
    method: Method,
) -> Result<(), Refusal> {
    for name in loader.programs_for(candidate, method) {
        let program = loader.program(&name, candidate.symbol)?;
        let place = match program {
            Program::FEntry(_) => Place::Trampoline(End::Entry),
            Program::FExit(_) => Place::Trampoline(End::Return),
            Program::KProbe(it) => Place::Kprobe(match it.kind() {
                ProbeKind::Return => End::Return,
                ProbeKind::Entry => End::Entry,
            }),
            _ => return Err(ProgramError::UnexpectedProgramType.into()),
        };
        let attached = links.attach(hook, candidate.symbol, place, program.fd()?);
        attached.map_err(Refusal::Probe)?;
    }
    Ok(())
}

/// The hook with each of its programs.
pub(super) fn programs_of(
    hook: &HookState,
    step: &Step,
    entries: Entries,
) -> Vec<(&'static str, String)> {
    let Some((symbol, method)) = hook.attached else {
        return Vec::new();
    };
    let mut candidates = step.usable.iter();
    let candidate = candidates.find(|(it, _)| it.symbol == symbol);
    let names = candidate.map_or_else(Vec::new, |(it, _)| program_names(it, method, entries));
    names.into_iter().map(|name| (hook.name, name)).collect()
}
