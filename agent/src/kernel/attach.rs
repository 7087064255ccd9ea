//! Loads the eBPF object and attaches its programs: the only file that does.
//!
//! Walks the plan, and goes on to the next way where the kernel refuses one.

mod answering;
mod cast;
mod loading;
mod memlock;
mod misses;
mod returns;

use std::{collections::HashMap, time::Instant};

use answering::inspector;
use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{Map, MapData, MapError, RingBuf},
    programs::{ProbeKind, Program, ProgramError},
};
use aya_log::EbpfLogger;
use cast::{Cast, with_calls};
use hooks::{
    Candidate, Entries, Facts, MAPCOUNT_DECREMENT, Method, Need, NoHook, PTES_FOUND, Reject, Step,
    ZAP, calls_nest, entries, program_names,
};
use loading::{Loader, Loading, load_together, programs_for};
use log::{debug, info, warn};
pub(crate) use misses::{CountedRuns, Programs};
use probe_abi::{BUCKET_SLOTS, GUP_FUNCTIONS, Layout, ledger_shift};
use returns::Returns;

use super::{
    facts,
    inspect::Inspector,
    maps::{CallTable, Counters, LedgerView, OwnerTable, Settings},
};
use crate::error::{AgentError, chain, errno};

/// The object for kernels whose verifier takes compare-and-swap and `bpf_loop`.
static MODERN: &[u8] = aya::include_bytes_aligned!(env!("PINSCOPE_EBPF_MODERN"));

/// The object for those that have neither.
static BASELINE: &[u8] = aya::include_bytes_aligned!(env!("PINSCOPE_EBPF_BASELINE"));

/// Sizes that the operator chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) ring_bytes: u32,
    /// A power of two.
    pub(crate) ledger_slots: u32,
    /// A power of two.
    pub(crate) owners: u32,
}

/// The programs, attached for as long as this lives.
pub(crate) struct Attached {
    pub(crate) hooks: Vec<HookState>,
    pub(crate) counters: Counters,
    pub(crate) ledger: LedgerView,
    pub(crate) samples: RingBuf<MapData>,
    pub(crate) logger: EbpfLogger<&'static dyn log::Log>,
    pub(crate) programs: Programs,
    pub(crate) settings: Settings,
    pub(crate) owners: OwnerTable,
    pub(crate) inspector: Inspector,
    pub(crate) calls: CallTable,
}

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

    fn not_needed(step: &Step) -> Self {
        Self {
            not_needed: true,
            ..Self::new(step)
        }
    }
}

/// What the verifier made of one program.
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// Instructions it looked at (unknown before Linux 5.16), or why it refused.
    pub(crate) verified: Result<Option<u32>, String>,
    pub(crate) load_ms: u128,
}

/// The object in the kernel, none of its programs loaded yet.
struct Object {
    ebpf: Ebpf,
    cpus: u32,
    buckets: u32,
}

/// Loads and attaches what `steps` allow.
pub(crate) fn attach(
    facts: &Facts,
    steps: &[Step],
    layout: Layout,
    sizes: Sizes,
) -> Result<Attached, AgentError> {
    let Object {
        mut ebpf,
        cpus,
        buckets,
    } = object(facts, steps, layout, sizes)?;
    let logger = EbpfLogger::init(&mut ebpf).map_err(|it| unusable("AYA_LOGS", &it))?;
    let counters = Counters::map(map_data(&ebpf, "COUNTERS")?, cpus as usize)?;
    let ledger = LedgerView::map(map_data(&ebpf, "LEDGER")?, buckets as usize)?;
    let samples = ebpf
        .take_map("SAMPLES")
        .ok_or_else(|| missing("SAMPLES"))
        .and_then(|it| RingBuf::try_from(it).map_err(|it| unusable("SAMPLES", &it)))?;
    let settings = Settings::map(map_data(&ebpf, "SETTINGS")?)?;
    let owners = OwnerTable::map(map_data(&ebpf, "OWNERS")?, sizes.owners as usize)?;
    let inspector = inspector(&mut ebpf, cpus);
    let calls = CallTable::map(map_data(&ebpf, "CALLS")?)?;
    let btf = kernel_btf()?;

    let mut returns = Returns::new(cpus);
    let mut hooks = Vec::new();
    // Releases and walks before pins: a pin that is seen must not be released
    // unseen. And what elides the entries of pins before them.
    let mut loader = Loader::new(&mut ebpf, steps, entries(steps), &btf);
    for step in steps.iter().rev() {
        let state = match (step.hook.need, loader.entries) {
            // Entries are seen by all means: there is nothing to elide.
            (Need::Optional, Entries::Needed) => HookState::not_needed(step),
            (Need::Optional, Entries::Elided) => {
                let state = attach_hook(&mut loader, &mut returns, step);
                if state.attached.is_none() {
                    loader.entries = Entries::Needed;
                }
                state
            }
            _ => attach_hook(&mut loader, &mut returns, step),
        };
        if let (None, Need::Required) = (state.attached, step.hook.need) {
            return Err(AgentError::NoHook(NoHook {
                hook: state.name,
                release: facts.release.clone(),
                rejected: state.rejected,
            }));
        }
        hooks.push(state);
    }
    hooks.reverse();
    let entries = loader.entries;
    let served: Vec<_> = hooks
        .iter()
        .zip(steps)
        .flat_map(|(hook, step)| programs_of(hook, step, entries))
        .collect();
    Ok(Attached {
        hooks,
        counters,
        ledger,
        samples,
        logger,
        programs: Programs::new(ebpf, returns, &served),
        settings,
        owners,
        inspector,
        calls,
    })
}

/// Loads the programs that `steps` would attach, attaches none, and tells of each.
pub(crate) fn load_all(
    facts: &Facts,
    steps: &[Step],
    layout: Layout,
    sizes: Sizes,
    mut tell: impl FnMut(Loaded),
) -> Result<(), AgentError> {
    let mut ebpf = object(facts, steps, layout, sizes)?.ebpf;
    let btf = kernel_btf()?;
    let mut order = Vec::new();
    let mut wanted = HashMap::new();
    for (candidate, methods) in steps.iter().flat_map(|step| &step.usable) {
        for name in methods
            .iter()
            .flat_map(|method| programs_for(&ebpf, candidate, *method, Entries::Needed))
        {
            if wanted.insert(name.clone(), candidate.symbol).is_none() {
                order.push(name);
            }
        }
    }
    let mut loaded = load_together(&mut ebpf, &btf, &wanted);
    for name in order {
        let Some((program, Loading { result, took })) = loaded.remove(name.as_str()) else {
            continue;
        };
        let verified = result.map_err(|it| chain(&it)).map(|()| {
            let info = program.info().ok()?;
            info.verified_instruction_count()
        });
        tell(Loaded {
            name,
            verified,
            load_ms: took.as_millis(),
        });
    }
    for name in answering::PROGRAMS {
        let Some(Program::RawTracePoint(program)) = ebpf.program_mut(name) else {
            continue;
        };
        let start = Instant::now();
        let result = program.load();
        let load_ms = start.elapsed().as_millis();
        let verified = result.map_err(|it| chain(&it)).map(|()| {
            let info = program.info().ok()?;
            info.verified_instruction_count()
        });
        tell(Loaded {
            name: name.to_owned(),
            verified,
            load_ms,
        });
    }
    Ok(())
}

fn object(
    facts: &Facts,
    steps: &[Step],
    mut layout: Layout,
    sizes: Sizes,
) -> Result<Object, AgentError> {
    let buckets = (sizes.ledger_slots / BUCKET_SLOTS as u32).max(1);
    let cpus = possible_cpus()?;
    layout.ledger_shift = ledger_shift(buckets);
    layout.owners_mask = sizes.owners - 1;
    layout.ptes_hooked = u32::from(planned(steps, PTES_FOUND));
    layout.calls_nest = u32::from(calls_nest(steps));
    let zap = steps
        .iter()
        .find(|it| it.hook.name == ZAP)
        .and_then(|it| it.usable.first());
    if let Some(range) = zap.and_then(|(it, _)| facts.symbols.get(it.symbol)) {
        layout.zap_start = range.start;
        layout.zap_end = range.end;
        layout.zaps_hooked = u32::from(planned(steps, MAPCOUNT_DECREMENT));
    }
    let baseline = !facts::has_loop();
    if baseline {
        info!("the kernel's BPF has no bpf_loop: the baseline object does without");
        memlock::raise();
    }
    let cast = Cast::find(&kernel_btf()?);
    layout.page_type = cast.map_or(0, |it| it.page);
    let image = with_calls(if baseline { BASELINE } else { MODERN }, cast);
    let ebpf = EbpfLoader::new()
        .override_global(
            "GUP_ARGUMENTS",
            bytemuck::bytes_of(&gup_arguments(facts)),
            true,
        )
        .override_global("LAYOUT", bytemuck::bytes_of(&layout), true)
        .map_max_entries("COUNTERS", cpus)
        .map_max_entries("LEDGER", buckets)
        .map_max_entries("OWNERS", sizes.owners)
        .map_max_entries("SAMPLES", sizes.ring_bytes)
        .load(bytemuck::cast_slice(&image))
        .map_err(refused)?;
    Ok(Object {
        ebpf,
        cpus,
        buckets,
    })
}

/// Names the map, where it is a map that the kernel refused: the way out is another.
fn refused(error: EbpfError) -> AgentError {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => {
            AgentError::map_refused(name, io_error)
        }
        other => AgentError::Load(Box::new(other)),
    }
}

/// How many arguments each function of the GUP family has; 0 for those that the
/// kernel has not.
fn gup_arguments(facts: &Facts) -> [u32; GUP_FUNCTIONS.len()] {
    GUP_FUNCTIONS.map(|name| {
        let function = facts.functions.get(name);
        let arguments = function.and_then(|it| it.arguments.as_ref());
        arguments.map_or(0, |it| it.len() as u32)
    })
}

fn kernel_btf() -> Result<Btf, AgentError> {
    Btf::from_sys_fs().map_err(|it| AgentError::NotTraceable(it.to_string()))
}

fn planned(steps: &[Step], hook: &str) -> bool {
    steps
        .iter()
        .any(|step| step.hook.name == hook && !step.usable.is_empty())
}

fn attach_hook(loader: &mut Loader<'_>, returns: &mut Returns, step: &Step) -> HookState {
    let mut state = HookState::new(step);
    for (candidate, methods) in &step.usable {
        for method in methods {
            match attach_candidate(loader, returns, candidate, *method) {
                Ok(()) => {
                    info!("{}: {} by {}", state.name, candidate.symbol, method.name());
                    state.attached = Some((candidate.symbol, *method));
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

/// When the second half fails, the first stays attached and finds nothing to do.
fn attach_candidate(
    loader: &mut Loader<'_>,
    returns: &mut Returns,
    candidate: &Candidate,
    method: Method,
) -> Result<(), ProgramError> {
    for name in loader.programs_for(candidate, method) {
        match loader.program(&name, candidate.symbol)? {
            Program::FEntry(it) => {
                it.attach()?;
            }
            Program::FExit(it) => {
                it.attach()?;
            }
            Program::KProbe(it) => {
                let is_return = matches!(it.kind(), ProbeKind::Return);
                if !is_return || !returns.attach(it, candidate.symbol) {
                    it.attach(candidate.symbol, 0)?;
                }
            }
            _ => return Err(ProgramError::UnexpectedProgramType),
        }
    }
    Ok(())
}

/// The hook with each of its programs.
fn programs_of(hook: &HookState, step: &Step, entries: Entries) -> Vec<(&'static str, String)> {
    let Some((symbol, method)) = hook.attached else {
        return Vec::new();
    };
    let mut candidates = step.usable.iter();
    let candidate = candidates.find(|(it, _)| it.symbol == symbol);
    let names = candidate.map_or_else(Vec::new, |(it, _)| program_names(it, method, entries));
    names.into_iter().map(|name| (hook.name, name)).collect()
}

fn map_data<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, AgentError> {
    match ebpf.map(name) {
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
