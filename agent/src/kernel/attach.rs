//! Loads the eBPF object and attaches its programs: the only room that does.
//!
//! Walks the plan, and goes on to the next way where the kernel refuses one.

mod answering;
mod arming;
mod cast;
mod census;
mod entry_counter;
mod hook;
mod image;
mod kprobes;
mod links;
mod loading;
mod misses;
mod object;
mod outline;
mod placeholders;
mod verify;

use std::{os::fd::OwnedFd, sync::Arc};

use answering::inspector;
pub(crate) use arming::{Armed, Arming, is_of_writeback};
use aya::{
    Btf,
    maps::{MapData, RingBuf},
};
use aya_log::EbpfLogger;
use aya_obj::btf::BtfKind;
pub(crate) use census::walker;
pub(crate) use entry_counter::EntryCounter;
pub(crate) use hook::HookState;
use hook::{attach_hook, programs_of};
use hooks::{Entries, Feeds, Method, Need, NoHook, entries};
use links::Links;
use loading::Loader;
pub(crate) use misses::{CountedRuns, Misses, Programs};
use object::{Object, array, missing, unusable};
pub(crate) use object::{Sizes, Wanted};
pub(crate) use outline::outline;
pub(crate) use verify::load_all;

use super::{
    inspect::Inspector,
    instructions::NOTHING,
    maps::{CallTable, Counters, LedgerView, OwnerTable, Settings, WalkCount},
    sys::bpf,
};
use crate::error::AgentError;

/// The programs, attached for as long as this lives.
pub(crate) struct Attached {
    pub(crate) hooks: Vec<HookState>,
    pub(crate) counters: Counters,
    pub(crate) ledger: LedgerView,
    pub(crate) samples: RingBuf<MapData>,
    pub(crate) logger: EbpfLogger<&'static dyn log::Log>,
    pub(crate) programs: Programs,
    pub(crate) arming: Arming,
    pub(crate) settings: Settings,
    pub(crate) owners: OwnerTable,
    pub(crate) inspector: Inspector,
    pub(crate) calls: CallTable,
}

/// Loads and attaches what the steps allow.
pub(crate) fn attach(wanted: &Wanted<'_>) -> Result<Attached, AgentError> {
    let Wanted {
        facts,
        steps,
        sizes,
        btf,
        ..
    } = *wanted;
    let Object {
        mut ebpf,
        cpus,
        buckets,
    } = object::load(wanted)?;
    let links = Arc::new(Links::new(cpus));
    let loaded = &mut ebpf;
    let logger = EbpfLogger::init(loaded).map_err(|it| unusable("AYA_LOGS", &it))?;
    let counters = Counters::map(array(loaded, "COUNTERS")?, cpus as usize)?;
    let ledger = LedgerView::map(array(loaded, "LEDGER")?, buckets as usize)?;
    let samples = loaded
        .take_map("SAMPLES")
        .ok_or_else(|| missing("SAMPLES"))
        .and_then(|it| RingBuf::try_from(it).map_err(|it| unusable("SAMPLES", &it)))?;
    let settings = Settings::map(array(loaded, "SETTINGS")?)?;
    let owners = OwnerTable::map(array(loaded, "OWNERS")?, sizes.owners as usize)?;
    let inspector = inspector(loaded, cpus);
    let calls = CallTable::map(array(loaded, "CALLS")?)?;
    let walks = WalkCount::map(array(loaded, "WALKS_UNDER_WAY")?)?;

    let mut hooks = Vec::new();
    // Releases and walks before pins: a pin that is seen must not be released
    // unseen. And what elides the entries of pins before them.
    wanted.check()?;
    let mut loader = Loader::new(loaded, wanted, entries(steps, wanted.calls_nest()));
    for step in steps.iter().rev() {
        wanted.check()?;
        let state = match (step.hook.need, loader.entries) {
            // Entries are seen by all means: there is nothing to elide.
            (Need::Optional, Entries::Needed) => HookState::not_needed(step),
            (Need::Optional, Entries::Elided) => {
                let state = attach_hook(&mut loader, &links, step);
                if state.attached.is_none() {
                    loader.entries = Entries::Needed;
                }
                state
            }
            _ => attach_hook(&mut loader, &links, step),
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
    if let Some(it) = nothing_sees_pins(&hooks) {
        return Err(AgentError::NoHook(NoHook {
            hook: it.name,
            release: facts.release.clone(),
            rejected: it.rejected.clone(),
        }));
    }
    let entries = loader.entries;
    let attached_programs: Vec<_> = hooks
        .iter()
        .zip(steps)
        .flat_map(|(hook, step)| programs_of(hook, step, entries))
        .collect();
    let trial = trial_of_trampolines(&hooks, btf);
    Ok(Attached {
        hooks,
        counters,
        ledger,
        samples,
        logger,
        arming: Arming::new(Arc::clone(&links), walks, trial).map_err(|source| {
            AgentError::System {
                what: "cannot start the thread that attaches",
                source,
            }
        })?,
        programs: Programs::new(ebpf, links, &attached_programs),
        settings,
        owners,
        inspector,
        calls,
    })
}

/// A program that does nothing, for the function that a hook of writeback is attached to by fentry;
/// `None` where none is.
fn trial_of_trampolines(hooks: &[HookState], btf: &Btf) -> Option<OwnedFd> {
    let of_writeback =
        |it: &&HookState| hooks::hook(it.name).is_some_and(|it| is_of_writeback(it.family));
    let mut attached = hooks
        .iter()
        .filter(of_writeback)
        .filter_map(|it| it.attached);
    let (symbol, _) = attached.find(|(_, method)| *method == Method::Fentry)?;
    let function = btf.id_by_type_name_kind(symbol, BtfKind::Func).ok()?;
    bpf::load_fentry(&NOTHING, function).ok()
}

/// A hook that would see pins taken, where none is attached: then there is nothing to tell of.
fn nothing_sees_pins(hooks: &[HookState]) -> Option<&HookState> {
    let sees_pins =
        |it: &&HookState| hooks::hook(it.name).is_some_and(|it| it.feeds == Feeds::Pins);
    let mut of_pins = hooks.iter().filter(sees_pins);
    let first = of_pins.clone().find(|it| !it.not_needed);
    of_pins
        .all(|it| it.attached.is_none())
        .then_some(first)
        .flatten()
}
