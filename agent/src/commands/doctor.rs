//! `pinscope doctor`: what would work on this host, and the way out where it
//! would not. Attaches nothing that stays.

mod report;

use std::{fs, path::Path};

use hooks::{Attach, Facts, Support, layout, most_programs, obstacle, plan, shows_pending_pins};

use super::{
    cli::{Command, DoctorOptions},
    failure::{Done, Failure},
    settings::Settings,
    switch::Switch,
};
use crate::{
    error::AgentError,
    kernel::{
        facts::{self, KernelBtf, Lockdown, Privileges},
        function_names::{FunctionNames, MapIterator},
        kallsyms, limits,
        vmstat::PinCounts,
    },
    views::{
        http,
        output::{self, Format},
    },
};
use report::{Check, Report, State};

/// Prints the report; `Err` if the agent could not run here.
pub(super) fn doctor(options: &DoctorOptions, settings: Result<Settings, AgentError>) -> Done {
    let report = examine(options, settings);
    if !options.quiet {
        match options.format {
            Format::Text => output::print(&report.text()),
            Format::Json => output::print(&report.json()),
        }
        .map_err(Failure::Running)?;
    }
    match report.problem {
        None => Ok(()),
        Some(_) if !options.quiet => Err(Failure::Start(AgentError::Unfit { why: None })),
        why => Err(Failure::Start(AgentError::Unfit { why })),
    }
}

fn examine(options: &DoctorOptions, settings: Result<Settings, AgentError>) -> Report {
    let (configured, unusable) = match &settings {
        Ok(it) => (it.file.to_string(), None),
        Err(error) => (String::new(), Some(crate::error::chain(error))),
    };
    // Without a file that can be used, what the command line says is all that is known.
    let options = match settings.as_ref().map(|it| &it.cli.command) {
        Ok(Command::Doctor(with_the_file)) => with_the_file,
        _ => options,
    };
    let web_config = options.web_config.as_deref();
    let served = http::check_web_config(web_config).map_err(reason);
    let complaint = Privileges::of_this_process().complaint();
    let types = KernelBtf::read();
    let mut checks = vec![
        Check::new("kernel", State::Ok, facts::release()),
        Check::either(
            "capabilities",
            "enough",
            complaint.as_deref(),
            State::Missing,
        ),
        Check::either(
            "switch",
            "on",
            Switch::of(&options.off_file)
                .off()
                .map(|why| format!("off: {why}; nothing is attached until it is gone"))
                .as_deref(),
            State::Degraded,
        ),
        Check::either(
            "configuration",
            &configured,
            unusable.as_deref(),
            State::Missing,
        ),
        Check::either(
            "web config",
            match web_config {
                Some(_) => "can be used",
                None => "none: neither TLS nor a password",
            },
            served.as_ref().err().map(String::as_str),
            State::Missing,
        ),
        lockdown(),
        btf(types.as_ref().ok()),
        tracefs(),
    ];
    let mut hooks = Vec::new();
    // Of the hooks all else can be said.
    let assumed = complaint.is_some();
    let mut problem = complaint.or(unusable).or(served.err());
    let mut asks_the_kernel = false;
    let gathered = types.and_then(|types| {
        let names = MapIterator::find(&types);
        let mut facts = facts::gather(&types)?;
        facts::read_traceable(&mut facts.functions);
        Ok((facts, names))
    });
    match gathered {
        Err(error) => problem = problem.or_else(|| Some(reason(error))),
        Ok((facts, names)) => {
            checks.push(addresses(&facts, names));
            checks.extend(methods(&facts));
            let real = plan(&facts, options.attach);
            let layout = layout(&facts);
            asks_the_kernel = layout.as_ref().is_ok_and(shows_pending_pins);
            let files = limits::allow_files(limits::files_for(most_programs(&real)));
            let files = files.map_err(reason);
            let too_few = files.as_ref().err().map(String::as_str);
            checks.push(Check::either(
                "open files",
                "enough",
                too_few,
                State::Missing,
            ));
            problem = problem
                .or_else(|| obstacle(&facts, &real, options.attach).map(|it| it.to_string()))
                .or_else(|| layout.err().map(|it| it.to_string()))
                .or_else(|| PinCounts::read().err().map(reason))
                .or_else(|| files.as_ref().err().cloned());
            hooks = if assumed {
                plan(&facts.as_if_privileged(), options.attach)
            } else {
                real
            };
        }
    }
    checks.push(pin_counters(asks_the_kernel));
    Report::new(checks, &hooks, assumed, problem)
}

/// The agent's own words without what leads to this very report.
fn reason(error: AgentError) -> String {
    match error {
        AgentError::NotTraceable(why) => why,
        other => crate::error::chain(&other),
    }
}

fn lockdown() -> Check {
    match facts::lockdown() {
        Lockdown::Absent => Check::new("lockdown", State::Ok, "this kernel has none"),
        Lockdown::Hidden => Check::new(
            "lockdown",
            State::Degraded,
            "not known: as root, `mount -t securityfs securityfs /sys/kernel/security` shows it",
        ),
        it @ Lockdown::Level(_) if it.is_confidentiality() => Check::new(
            "lockdown",
            State::Missing,
            "confidentiality: no program may read the kernel's memory",
        ),
        Lockdown::Level(level) => Check::new("lockdown", State::Ok, level),
    }
}

/// That it cannot be read is told below.
fn btf(types: Option<&KernelBtf>) -> Check {
    let strange = types.map(KernelBtf::strange);
    if let Some((strange, told)) = strange.and_then(|it| Some((it, it.told()?))) {
        let state = match strange.is_cut() {
            true => State::Degraded,
            false => State::Ok,
        };
        return Check::new(
            "btf",
            state,
            format!("present, and newer than this version knows; {told}"),
        );
    }
    let missing =
        "missing: the kernel was built without CONFIG_DEBUG_INFO_BTF, or /sys is not mounted";
    let missing = (!Path::new(KernelBtf::PLACE).exists()).then_some(missing);
    Check::either("btf", "present", missing, State::Missing)
}

fn tracefs() -> Check {
    let missing = facts::untraceable().map(|error| {
        let why = match error.raw_os_error() {
            _ if facts::lockdown().is_confidentiality() => {
                "while the kernel is locked down for confidentiality"
            }
            Some(libc::ENOENT) => {
                "because it is not mounted: as root, `mount -t tracefs tracefs /sys/kernel/tracing`"
            }
            Some(libc::EACCES) => "by this user: only root may, unless it is mounted otherwise",
            _ => "here: lockdown, a security module or the container forbids it",
        };
        format!("not readable {why}; functions that cannot be hooked are found by trying ({error})")
    });
    Check::either("tracefs", "readable", missing.as_deref(), State::Degraded)
}

/// Without an address of any, the list was read and hides them.
fn addresses(facts: &Facts, names: MapIterator) -> Check {
    let is_known = facts.symbols.values().any(|it| it.start != 0);
    let not_shown = match kallsyms::shows_addresses() {
        Ok(true) if is_known => return Check::new("addresses", State::Ok, "shown"),
        Ok(_) => "hidden".to_owned(),
        Err(error) => format!("not readable in {} ({error})", kallsyms::PATH),
    };
    let paths = match FunctionNames::by(names) {
        Ok(_) => {
            "call paths have names all the same, the kernel tells them when it is asked".into()
        }
        Err(error) => format!(
            "call paths have no names and subsystems are unknown, because the kernel does not tell \
             them when it is asked either ({error})"
        ),
    };
    if is_known {
        let told = format!("{not_shown}, and told by the kernel when it is asked; {paths}");
        return Check::new("addresses", State::Ok, told);
    }
    let without = format!(
        "{not_shown}: zaps are not told from other decrements of a mapcount; that takes CAP_SYSLOG \
         and kernel.kptr_restrict below 2"
    );
    Check::new("addresses", State::Degraded, format!("{without}; {paths}"))
}

/// One way to attach is enough, so that neither is missing by itself.
fn methods(facts: &Facts) -> [Check; 2] {
    let methods = &facts.methods;
    let without = if methods.closed(Attach::Auto).is_some() {
        State::Missing
    } else {
        State::Degraded
    };
    let check = |name, support: &Support| Check::either(name, "works", support.reason(), without);
    [
        check("fentry", &methods.fentry),
        check("kprobe", &methods.kprobe),
    ]
}

/// `asks_the_kernel`: a program of the agent can read what each CPU has not handed in yet.
fn pin_counters(asks_the_kernel: bool) -> Check {
    let found = match PinCounts::read() {
        Err(error) => Err((State::Missing, crate::error::chain(&error))),
        Ok(_) if asks_the_kernel => Ok(()),
        Ok(_) if fs::File::open("/proc/sys/vm/stat_refresh").is_err() => Err((
            State::Degraded,
            "up to a second old: the kernel hides where they are (kernel.kptr_restrict), and only \
             root may have it fold them"
                .to_owned(),
        )),
        Ok(_) => Ok(()),
    };
    match found {
        Ok(()) => Check::new("pin counters", State::Ok, "exact"),
        Err((state, why)) => Check::new("pin counters", state, why),
    }
}
