//! `pinscope doctor`: what would work on this host, and the way out where it
//! would not. Attaches nothing.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    cli::{DoctorOptions, Format},
    error::AgentError,
    facts::{self, Facts, Privileges},
    kernel_layout, output, plan,
};

/// One thing looked at.
struct Check {
    name: &'static str,
    ok: bool,
    found: String,
}

/// Prints the report; `Err` if the agent could not run here.
pub(crate) fn doctor(options: &DoctorOptions) -> Result<(), AgentError> {
    let (checks, facts, problem) = examine();
    let steps = facts
        .as_ref()
        .map(|it| plan::plan(it, options.attach))
        .unwrap_or_default();
    let problem = problem.or_else(|| {
        let facts = facts.as_ref()?;
        if let Some(step) = plan::fatal(&steps) {
            return Some(format!(
                "no hook for `{}` on kernel {}",
                step.hook.name, facts.release
            ));
        }
        kernel_layout::layout(facts).err().map(|it| it.to_string())
    });
    if !options.quiet {
        match options.format {
            Format::Text => output::print(&as_text(&checks, &steps, problem.as_deref())),
            Format::Json => output::print(&as_json(&checks, &steps, problem.as_deref())),
        }
    }
    problem.map_or(Ok(()), |it| Err(AgentError::NotTraceable(it)))
}

fn examine() -> (Vec<Check>, Option<Facts>, Option<String>) {
    let mut checks = vec![Check {
        name: "kernel",
        ok: true,
        found: facts::release(),
    }];
    let complaint = Privileges::of_this_process().complaint();
    checks.push(Check {
        name: "capabilities",
        ok: complaint.is_none(),
        found: complaint.clone().unwrap_or_else(|| "enough".to_owned()),
    });
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown");
    let confidential = lockdown
        .as_ref()
        .is_ok_and(|it| it.contains("[confidentiality]"));
    checks.push(Check {
        name: "lockdown",
        ok: !confidential,
        found: lockdown.map_or_else(|_| "not shown".to_owned(), |it| it.trim().to_owned()),
    });
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    checks.push(Check {
        name: "btf",
        ok: btf,
        found: if btf {
            "present"
        } else {
            "missing: CONFIG_DEBUG_INFO_BTF"
        }
        .to_owned(),
    });
    let (facts, failed) = match Facts::gather() {
        Ok(facts) => (Some(facts), None),
        Err(error) => (None, Some(error.to_string())),
    };
    if let Some(facts) = &facts {
        for (name, method) in [
            ("fentry", &facts.methods.fentry),
            ("kprobe", &facts.methods.kprobe),
        ] {
            checks.push(Check {
                name,
                ok: method.usable(),
                found: method.reason().unwrap_or("works").to_owned(),
            });
        }
    }
    let no_method = facts.as_ref().and_then(|it| it.methods.all_closed());
    (checks, facts, complaint.or(failed).or(no_method))
}

fn as_text(checks: &[Check], steps: &[plan::Step], problem: Option<&str>) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let ok = if check.ok { "ok" } else { "NO" };
        lines.push(format!("{ok:<4} {:<14} {}", check.name, check.found));
    }
    if !steps.is_empty() {
        lines.push("hooks:".to_owned());
    }
    for step in steps {
        let choice = match step.usable.first() {
            Some((candidate, methods)) => format!(
                "{} by {}",
                candidate.symbol,
                methods
                    .iter()
                    .map(|it| it.name())
                    .collect::<Vec<_>>()
                    .join(" or ")
            ),
            None if step.not_needed => "nothing to see on this kernel".to_owned(),
            None => "BLIND".to_owned(),
        };
        lines.push(format!("     {:<34} {choice}", step.hook.name));
        if !step.not_needed {
            for (symbol, unmet) in &step.passed_over {
                lines.push(format!("     {:<34}   passed over {symbol}: {unmet}", ""));
            }
        }
    }
    lines.push(match problem {
        None => "pinscope can run here".to_owned(),
        Some(problem) => format!("pinscope cannot run here: {problem}"),
    });
    lines.join("\n")
}

fn as_json(checks: &[Check], steps: &[plan::Step], problem: Option<&str>) -> Value {
    let checks: Vec<Value> = checks
        .iter()
        .map(|it| json!({ "name": it.name, "ok": it.ok, "found": it.found }))
        .collect();
    let hooks: Vec<Value> = steps
        .iter()
        .map(|step| {
            let choice = step.usable.first().map(
                |(candidate, methods)| json!({ "symbol": candidate.symbol, "methods": methods }),
            );
            let passed_over: Vec<Value> = step
                .passed_over
                .iter()
                .map(|(symbol, unmet)| json!({ "symbol": symbol, "why": unmet.to_string() }))
                .collect();
            json!({
                "hook": step.hook.name,
                "family": step.hook.family.name(),
                "choice": choice,
                "not_needed": step.not_needed,
                "passed_over": passed_over,
            })
        })
        .collect();
    json!({ "can_run": problem.is_none(), "problem": problem, "checks": checks, "hooks": hooks })
}
