//! Loads the eBPF object and attaches its programs: the only file that does.
//!
//! Walks the plan, and goes on to the next way where the kernel refuses one.

use std::{io, os::fd::AsRawFd};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Map, MapData, RingBuf},
    programs::{Program, ProgramError},
};
use aya_log::EbpfLogger;
use log::{debug, info, warn};
use probe_abi::{BUCKET_SLOTS, Layout};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    books::Books,
    catalogue::{At, Candidate, Need},
    error::AgentError,
    facts::Facts,
    plan::{Method, Step, Unmet},
};

/// The object for kernels whose verifier takes compare-and-swap and `bpf_loop`.
static MODERN: &[u8] = aya::include_bytes_aligned!(env!("PINSCOPE_EBPF_MODERN"));

/// Sizes that the operator chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) ring_bytes: u32,
    /// A power of two.
    pub(crate) ledger_slots: u32,
}

/// The programs, attached for as long as this lives.
pub(crate) struct Attached {
    pub(crate) hooks: Vec<HookState>,
    pub(crate) books: Books,
    pub(crate) samples: RingBuf<MapData>,
    pub(crate) logger: EbpfLogger<&'static dyn log::Log>,
    /// Detaches on drop.
    pub(crate) programs: Ebpf,
}

/// What became of one hook.
#[derive(Clone, Debug)]
pub(crate) struct HookState {
    pub(crate) name: &'static str,
    /// The symbol and the method that serve it, if any does.
    pub(crate) serving: Option<(&'static str, Method)>,
    pub(crate) passed_over: Vec<(&'static str, Unmet)>,
    pub(crate) not_needed: bool,
}

/// Loads and attaches what `steps` allow.
pub(crate) fn attach(
    facts: &Facts,
    steps: &[Step],
    mut layout: Layout,
    sizes: Sizes,
) -> Result<Attached, AgentError> {
    let buckets = (sizes.ledger_slots / BUCKET_SLOTS as u32).max(1);
    let cpus = possible_cpus()?;
    layout.ledger_mask = buckets - 1;
    layout.ptes_hooked = u32::from(planned(steps, "ptes_found"));
    let zap = steps
        .iter()
        .find(|it| it.hook.name == "zap")
        .and_then(|it| it.usable.first());
    if let Some(range) = zap.and_then(|(it, _)| facts.symbols.get(it.symbol)) {
        layout.zap_start = range.start;
        layout.zap_end = range.end;
        layout.zaps_hooked = u32::from(planned(steps, "mapcount_decrement"));
    }
    let mut loader = EbpfLoader::new();
    loader
        .override_global("LAYOUT", bytemuck::bytes_of(&layout), true)
        .map_max_entries("COUNTERS", cpus)
        .map_max_entries("LEDGER", buckets)
        .map_max_entries("SAMPLES", sizes.ring_bytes);
    let mut ebpf = loader
        .load(MODERN)
        .map_err(|it| AgentError::Load(Box::new(it)))?;
    let logger = EbpfLogger::init(&mut ebpf).map_err(|it| AgentError::Map {
        name: "AYA_LOGS",
        reason: it.to_string(),
    })?;
    let books = Books::map(
        &map_data(&mut ebpf, "COUNTERS")?,
        cpus as usize,
        &map_data(&mut ebpf, "LEDGER")?,
        buckets as usize,
    )?;
    let samples = ebpf
        .take_map("SAMPLES")
        .ok_or_else(|| missing("SAMPLES"))
        .and_then(|it| RingBuf::try_from(it).map_err(|it| unusable("SAMPLES", &it)))?;
    let btf = Btf::from_sys_fs().map_err(|it| AgentError::NotTraceable(it.to_string()))?;

    let mut hooks = Vec::new();
    // Releases and walks before pins: a pin that is seen must not be released
    // unseen.
    for step in steps.iter().rev() {
        let state = attach_hook(&mut ebpf, step, &btf);
        if let (None, Need::Required) = (state.serving, step.hook.need) {
            return Err(AgentError::NoHook {
                hook: state.name,
                release: facts.release.clone(),
                tried: state
                    .passed_over
                    .iter()
                    .map(|(symbol, unmet)| format!("{symbol} ({unmet})"))
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        hooks.push(state);
    }
    hooks.reverse();
    Ok(Attached {
        hooks,
        books,
        samples,
        logger,
        programs: ebpf,
    })
}

fn planned(steps: &[Step], hook: &str) -> bool {
    steps
        .iter()
        .any(|step| step.hook.name == hook && !step.usable.is_empty())
}

fn attach_hook(ebpf: &mut Ebpf, step: &Step, btf: &Btf) -> HookState {
    let mut state = HookState {
        name: step.hook.name,
        serving: None,
        passed_over: step.passed_over.clone(),
        not_needed: step.not_needed,
    };
    for (candidate, methods) in &step.usable {
        for method in methods {
            match attach_candidate(ebpf, candidate, *method, btf) {
                Ok(()) => {
                    info!("{}: {} by {}", state.name, candidate.symbol, method.name());
                    state.serving = Some((candidate.symbol, *method));
                    return state;
                }
                Err(error) => {
                    let why = chain(&error);
                    debug!(
                        "{}: {} by {}: {why}",
                        state.name,
                        candidate.symbol,
                        method.name()
                    );
                    let why = Unmet::Refused(format!("{}: {why}", method.name()));
                    state.passed_over.push((candidate.symbol, why));
                }
            }
        }
    }
    if !step.not_needed {
        warn!(
            "{}: no hook; its metrics are absent or its verdicts uncertain",
            state.name
        );
        for (symbol, unmet) in &state.passed_over {
            warn!("{}: passed over {symbol}: {unmet}", state.name);
        }
    }
    state
}

/// Return before entry, so that no entry is left without its return. When the
/// second half fails, the first stays attached and finds nothing to do.
fn attach_candidate(
    ebpf: &mut Ebpf,
    candidate: &Candidate,
    method: Method,
    btf: &Btf,
) -> Result<(), ProgramError> {
    let Some(probe) = candidate.probe else {
        return Ok(());
    };
    let (entry, exit) = match method {
        Method::Fentry => ("fentry", "fexit"),
        Method::Kprobe => ("kprobe", "kretprobe"),
        Method::Stack => return Ok(()),
    };
    let halves: &[&str] = match candidate.at {
        At::Entry => &[entry],
        At::Return => &[exit],
        At::EntryAndReturn => &[exit, entry],
        At::Stack => &[],
    };
    for half in halves {
        let name = format!("{probe}_{half}");
        let program = ebpf
            .program_mut(&name)
            .ok_or_else(|| ProgramError::InvalidName { name })?;
        attach_program(program, candidate.symbol, btf)?;
    }
    Ok(())
}

fn attach_program(program: &mut Program, symbol: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(it) => {
            it.load(symbol, btf)?;
            it.attach()?;
        }
        Program::FExit(it) => {
            it.load(symbol, btf)?;
            it.attach()?;
        }
        Program::KProbe(it) => {
            it.load()?;
            it.attach(symbol, 0)?;
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    }
    Ok(())
}

/// Lets the runtime wait until a ring has something to read.
pub(crate) fn readable<T: AsRawFd>(ring: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the ring owns its descriptor and moves in with it, so it is open
    // for as long as it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// An error with its causes: attaching has them three deep.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(it) = source {
        text = format!("{text}: {it}");
        source = it.source();
    }
    text
}

fn map_data(ebpf: &mut Ebpf, name: &'static str) -> Result<MapData, AgentError> {
    match ebpf.take_map(name) {
        Some(Map::Array(it)) => Ok(it),
        Some(_) | None => Err(missing(name)),
    }
}

fn missing(name: &'static str) -> AgentError {
    AgentError::Map {
        name,
        reason: "it is not in the object".to_owned(),
    }
}

fn unusable(name: &'static str, error: &dyn std::error::Error) -> AgentError {
    AgentError::Map {
        name,
        reason: error.to_string(),
    }
}

/// Highest CPU number that can ever be, plus one.
fn possible_cpus() -> Result<u32, AgentError> {
    aya::util::nr_cpus()
        .map(|it| it as u32)
        .map_err(|(path, source)| AgentError::Read {
            path: path.into(),
            source,
        })
}
