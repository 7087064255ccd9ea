//! The eBPF object: which of the two, with what this kernel needs filled in, and its maps.

use std::sync::atomic::{AtomicBool, Ordering};

use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{Map, MapData, MapError},
};
use hooks::{Facts, MAPCOUNT_DECREMENT, PTES_FOUND, Step, ZAP, calls_nest};
use log::{info, warn};
use probe_abi::{ABSENT, BUCKET_SLOTS, GUP_FUNCTIONS, Layout, ledger_shift};

use super::{
    cast::{Cast, set_calls},
    image::Image,
    placeholders,
};
use crate::{
    error::AgentError,
    kernel::{facts, limits},
};

/// What is to be loaded.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) steps: &'a [Step],
    pub(crate) layout: &'a Layout,
    pub(crate) sizes: Sizes,
    pub(crate) btf: &'a Btf,
    /// Whether a function of the GUP family was seen to call another, if that is known.
    pub(crate) nested: Option<bool>,
    /// Whether nobody wants it any more, which may become so while it is under way.
    pub(crate) is_over: &'a AtomicBool,
}

impl Wanted<'_> {
    pub(super) fn calls_nest(&self) -> bool {
        calls_nest(self.steps, self.nested)
    }

    /// An error if nobody wants it any more.
    pub(super) fn check(&self) -> Result<(), AgentError> {
        match self.is_over.load(Ordering::Relaxed) {
            true => Err(AgentError::ToldToEnd),
            false => Ok(()),
        }
    }
}

/// Sizes that the operator chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) ring_bytes: u32,
    /// A power of two.
    pub(crate) ledger_slots: u32,
    /// A power of two.
    pub(crate) owners: u32,
}

/// The object in the kernel, none of its programs loaded yet.
pub(super) struct Object {
    pub(super) ebpf: Ebpf,
    pub(super) cpus: u32,
    pub(super) buckets: u32,
}

/// Loads it.
pub(super) fn load(wanted: &Wanted<'_>) -> Result<Object, AgentError> {
    let Wanted {
        facts,
        steps,
        sizes,
        btf,
        ..
    } = *wanted;
    let mut layout = *wanted.layout;
    let buckets = (sizes.ledger_slots / BUCKET_SLOTS as u32).max(1);
    let cpus = possible_cpus()?;
    layout.ledger_shift = ledger_shift(buckets);
    layout.owners_mask = sizes.owners - 1;
    layout.ptes_hooked = u32::from(planned(steps, PTES_FOUND));
    layout.calls_nest = u32::from(wanted.calls_nest());
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
        if !limits::lock_any_memory() {
            warn!(
                "RLIMIT_MEMLOCK cannot be lifted, and this kernel may charge the maps to it: run as \
                 root, or as a service with LimitMEMLOCK=infinity"
            );
        }
    }
    let cast = Cast::find(btf);
    layout.page_type = cast.map_or(0, |it| it.page);
    let image = if baseline {
        Image::Baseline
    } else {
        Image::Modern
    };
    let mut image = image.unpacked()?;
    set_calls(&mut image, cast);
    placeholders::fill(&mut image, &layout).map_err(|it| unusable("LAYOUT", &it))?;
    let ebpf = EbpfLoader::new()
        .override_global(
            "GUP_ARGUMENTS",
            bytemuck::bytes_of(&gup_arguments(facts)),
            true,
        )
        .override_global("LAYOUT", bytemuck::bytes_of(&layout), true)
        .override_global("ROLLBACKS", bytemuck::bytes_of(&rollbacks(&layout)), true)
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

/// Calls under way in which the kernel may roll pins back, at the start: one that never ends
/// where any call may be one, because the kernel does not say which flag is longterm. Of sixteen
/// words the ninth is the number; the others keep it apart from what all CPUs read.
fn rollbacks(layout: &Layout) -> [u64; 16] {
    let mut words = [0; 16];
    words[8] = u64::from(layout.foll_longterm == ABSENT);
    words
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

fn planned(steps: &[Step], hook: &str) -> bool {
    steps
        .iter()
        .any(|step| step.hook.name == hook && !step.usable.is_empty())
}

/// An array of the object.
pub(super) fn array<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, AgentError> {
    match ebpf.map(name) {
        Some(Map::Array(it)) => Ok(it),
        Some(_) | None => Err(missing(name)),
    }
}

pub(super) fn missing(name: &'static str) -> AgentError {
    AgentError::Map {
        name,
        reason: "it is not in the object".to_owned(),
    }
}

pub(super) fn unusable(name: &'static str, error: &dyn std::error::Error) -> AgentError {
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
