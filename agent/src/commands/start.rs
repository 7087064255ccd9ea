//! Everything before the agent collects: facts, plan, attach, self-test.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use hooks::{Facts, layout, obstacle, plan};
use log::{info, warn};
use tokio::net::TcpListener;

use super::cli::RunOptions;
use crate::{
    collect::{Hook, Recorder, State},
    error::AgentError,
    kernel::{
        attach::{self, Attached, Sizes, Wanted, kernel_btf},
        facts::{self, Privileges},
    },
    owners::{OwnerRegistry, file::Files},
    selftest::{self, Findings},
    views::{
        http::{self, View},
        metrics::Metrics,
        socket::Socket,
    },
};

/// The agent, ready to collect.
pub(super) struct Agent {
    pub(super) socket: Socket,
    pub(super) listener: TcpListener,
    pub(super) view: View,
    pub(super) samples: RingBuf<MapData>,
    pub(super) logger: EbpfLogger<&'static dyn log::Log>,
}

/// Makes everything ready. What was attached is gone if it fails.
pub(super) async fn start(
    options: &RunOptions,
    record_to: Option<&Path>,
) -> Result<Agent, AgentError> {
    if let Some(complaint) = Privileges::of_this_process().complaint() {
        return Err(AgentError::NotTraceable(complaint));
    }
    // An agent that runs already is told as one, and not by the port that it has.
    let socket = Socket::take(&options.socket)?;
    let listener = http::listen(options.listen).await?;
    // Not before the agent is sure to be alone, and before anything is attached.
    let recording = match record_to {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|source| cannot_write(path, source))?;
            Some((file, path))
        }
    };
    let facts = facts::gather()?;
    let (attached, findings) = attach(&facts, options)?;
    let Attached {
        hooks,
        counters,
        ledger,
        samples,
        logger,
        programs,
        settings,
        owners,
        resolver,
    } = attached;
    let longterm_flag = longterm_flag(&facts, &findings);
    let owners = OwnerRegistry::new(
        owners,
        settings,
        Files::new(resolver),
        longterm_flag,
        options.suspect_after,
    );
    let hooks = Hook::all(hooks, &findings);
    let mut state = State::new(hooks, counters, ledger, programs, owners)?;
    state.self_test = findings.took;
    if let Some((file, path)) = recording {
        let recorder = Recorder::begin(file, &state.head);
        state.recorder = Some(recorder.map_err(|source| cannot_write(path, source))?);
    }
    Ok(Agent {
        socket,
        listener,
        view: View {
            state: Arc::new(Mutex::new(state)),
            metrics: Arc::new(Metrics::new()?),
        },
        samples,
        logger,
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

fn attach(facts: &Facts, options: &RunOptions) -> Result<(Attached, Findings), AgentError> {
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
    let layout = layout(facts)?;
    let sizes = Sizes {
        ring_bytes: options.ring_bytes,
        ledger_slots: options.ledger_folios,
        owners: options.owners,
    };
    let btf = kernel_btf()?;
    let mut attached = attach::attach(&Wanted {
        facts,
        steps: &steps,
        layout: &layout,
        sizes,
        btf: &btf,
        nested: selftest::calls_nest(facts, &btf),
    })?;
    let findings = selftest::run(&mut attached);
    if let Some(key) = findings.uncounted_zero_page {
        attached.settings.leave_out(key);
    }
    attached.counters.begin();
    Ok((attached, findings))
}

pub(super) fn cannot_write(path: &Path, source: io::Error) -> AgentError {
    AgentError::Write {
        path: path.to_owned(),
        source,
    }
}
