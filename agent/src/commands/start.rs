//! Everything before the agent collects: facts, plan, attach, self-test.

use std::path::Path;

use aya::Btf;
use hooks::{Facts, layout, most_programs, obstacle, plan};
use log::{info, warn};
use probe_abi::Layout;

use super::{cli::RunOptions, recording, signals::Signals};
use crate::{
    collect::{self, Collecting, Collector, Hook, Parts, Source, Tuning},
    error::AgentError,
    kernel::{
        attach::{self, Attached, Sizes, Wanted},
        facts::{self, KernelBtf, Privileges},
        function_names::MapIterator,
        judgement::FlagBits,
        limits,
    },
    selftest::{self, Findings},
    views::{http, socket::Socket},
};

/// The agent, collecting.
pub(super) struct Agent {
    pub(super) socket: Socket,
    pub(super) server: http::Server,
    pub(super) collecting: Collecting,
}

/// Makes everything ready, and begins to collect. What was attached is gone if it fails, which it also
/// does if it is told to end.
pub(super) async fn start(
    options: &RunOptions,
    tuning: Tuning,
    record_to: Option<&Path>,
    signals: &Signals,
) -> Result<Agent, AgentError> {
    if let Some(complaint) = Privileges::of_this_process().complaint() {
        return Err(AgentError::NotTraceable(complaint));
    }
    // An agent that runs already is told as one, and not by the port that it has.
    let socket = Socket::take(&options.socket)?;
    let server = http::Server::open(options.listen, options.web_config.as_deref()).await?;
    // Not before the agent is sure to be alone, and before anything is attached.
    let recording = match record_to {
        None => None,
        Some(path) => Some(recording::open(path, signals).await?),
    };
    let types = KernelBtf::read()?;
    signals.check()?;
    let facts = facts::gather(&types)?;
    signals.check()?;
    let btf = attach::outline(&types, &facts)?;
    let function_names = MapIterator::find(&types);
    drop(types);
    let layout = layout(&facts)?;
    let (attached, findings) = attach(&facts, layout, &btf, options, signals)?;
    signals.check()?;
    let longterm_flag = longterm_flag(&facts, &findings);
    if let Some(flag) = longterm_flag {
        attached.settings.learn_longterm_flag(flag);
    }
    let Attached {
        hooks,
        counters,
        ledger,
        samples,
        logger,
        mut programs,
        settings,
        owners,
        inspector,
        calls,
        arming,
    } = attached;
    let share = options.census_cpu_percent;
    let census = (share > 0).then(|| (programs.walker(&facts), share));
    let mut collector = Collector::new(Parts {
        hooks: Hook::all(hooks, &findings),
        self_test: findings.took,
        bits: FlagBits::of(&layout),
        counters,
        ledger,
        owners,
        calls,
        inspector,
        function_names,
        settings,
        programs,
        arming,
        tuning,
        longterm_flag,
        census,
    })?;
    if let Some(recording) = recording {
        collector.record(recording)?;
    }
    Ok(Agent {
        socket,
        server,
        collecting: collect::start(collector, Source { samples, logger }, tuning)?,
    })
}

/// The value of `FOLL_LONGTERM`: BTF's, or else what the self-test found.
fn longterm_flag(facts: &Facts, findings: &Findings) -> Option<u32> {
    let in_btf = facts.enumerators.get("FOLL_LONGTERM");
    let in_btf = in_btf.and_then(|it| u32::try_from(*it).ok());
    if let (Some(in_btf), Some(found)) = (in_btf, findings.longterm_flag)
        && in_btf != found
    {
        warn!("FOLL_LONGTERM is {in_btf:#x}, and the self-test found {found:#x}");
    }
    in_btf.or(findings.longterm_flag)
}

fn attach(
    facts: &Facts,
    layout: Layout,
    btf: &Btf,
    options: &RunOptions,
    signals: &Signals,
) -> Result<(Attached, Findings), AgentError> {
    for (name, method) in [
        ("fentry", &facts.methods.fentry),
        ("kprobe", &facts.methods.kprobe),
    ] {
        if let Some(reason) = method.reason() {
            info!("{name} cannot be used: {reason}");
        }
    }
    let steps = plan(facts, options.attach);
    if let Some(obstacle) = obstacle(facts, &steps, options.attach) {
        return Err(obstacle.into());
    }
    limits::allow_files(limits::files_for(most_programs(&steps)))?;
    let sizes = Sizes {
        ring_bytes: options.ring_bytes,
        ledger_slots: options.ledger_folios,
        owners: options.owners,
    };
    let mut attached = attach::attach(&Wanted {
        facts,
        steps: &steps,
        layout: &layout,
        sizes,
        btf,
        nested: selftest::calls_nest(facts, btf),
        is_over: signals.ends(),
    })?;
    signals.check()?;
    let findings = selftest::run(&mut attached);
    if let Some(key) = findings.uncounted_zero_page {
        attached.settings.leave_out(key);
    }
    attached.counters.begin(findings.forgotten_pins);
    Ok((attached, findings))
}
