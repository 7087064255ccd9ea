//! `pinscope census`: what is pinned now, whoever pinned it and whenever, with or without a
//! running agent. Attaches nothing.

use std::io::{IsTerminal as _, Write as _, stderr};

use hooks::layout;

use super::{
    cli::CensusOptions,
    failure::{Done, Failure},
};
use crate::{
    census::{self, Places, Wanted},
    error::AgentError,
    kernel::{
        attach,
        facts::{self, KernelBtf, Privileges, lockdown},
    },
    views::{self, output},
};

/// Prints it.
pub(super) fn census(options: &CensusOptions) -> Done {
    let start = Failure::Start;
    if let Some(complaint) = Privileges::of_this_process().complaint() {
        return Err(start(AgentError::NotTraceable(complaint)));
    }
    if lockdown().is_confidentiality() {
        return Err(start(AgentError::NotTraceable(
            "it is locked down (confidentiality), so that no program may read its memory; boot with \
             lockdown=integrity or without lockdown="
                .to_owned(),
        )));
    }
    let places = Places::read().map_err(start)?;
    let range = match options.block {
        Some(block) => Some(places.block(block).ok_or_else(|| start(no_block(block)))?),
        None => options.range.clone(),
    };
    let types = KernelBtf::read().map_err(start)?;
    let facts = facts::gather(&types).map_err(start)?;
    let layout = layout(&facts).map_err(|it| start(it.into()))?;
    let btf = attach::outline(&types, &facts).map_err(start)?;
    drop(types);
    let (walker, inspector) = attach::walker(&facts, &layout, &btf).map_err(start)?;
    drop(btf);
    let wanted = Wanted {
        by: options.by,
        range,
        share: options.cpu_percent,
        top: options.top,
    };
    let mut progress = Progress::default();
    let report = census::take(&walker, &inspector, &places, &wanted, &mut |it| {
        progress.tell(it);
    });
    progress.end();
    let report = report.map_err(Failure::Running)?;
    output::print(&views::census::format(&report, options.format)).map_err(Failure::Running)
}

fn no_block(block: u64) -> AgentError {
    AgentError::Unfit {
        why: Some(format!(
            "there is no memory block {block}; /sys/devices/system/memory has those that there are, \
             as memoryN"
        )),
    }
}

/// How far it is, on a terminal.
#[derive(Default)]
struct Progress {
    told: Option<u32>,
}

impl Progress {
    fn tell(&mut self, done: f64) {
        let percent = (done * 100.0) as u32;
        if self.told != Some(percent) && stderr().is_terminal() {
            self.told = Some(percent);
            let _ = write!(stderr(), "\rlooking at pages: {percent} %");
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
