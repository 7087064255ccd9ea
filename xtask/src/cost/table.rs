//! The figures of one kernel as Markdown; leaves out what they mean, which docs/cost.md says.

use std::fmt::Write as _;

use super::{
    budget::Budget,
    figures::{BYSTANDERS, Figures, Load, Observer, Own},
};

const LOADS: [(Load, &str); 6] = [
    (Load::Io, "direct read of 4 KiB (fio)"),
    (Load::Pages1, "call that pins 1 page"),
    (Load::Pages8, "call that pins 8 pages, each a folio"),
    (Load::Pages512, "call that pins 512 pages, each a folio"),
    (Load::Folio1, "call that pins 1 page of a 2 MiB folio"),
    (
        Load::Folio512,
        "call that pins all 512 pages of a 2 MiB folio",
    ),
];

const OBSERVERS: [(Observer, &str); 6] = [
    (
        Observer::EmptyFexit,
        "an fentry and an fexit program that do nothing",
    ),
    (
        Observer::EmptyKretprobe,
        "a kprobe and a kretprobe program that do nothing",
    ),
    (
        Observer::Bpftrace,
        "bpftrace: pages by process name, on a kretprobe",
    ),
    (Observer::Fentry, "pinscope, fentry: the probes"),
    (
        Observer::Awake,
        "pinscope, fentry: the probes and the agent at work",
    ),
    (Observer::Kprobe, "pinscope, kprobe: the probes"),
];

/// What the agent itself takes; memory is told in KiB.
const OWN: [(Own, &str); 6] = [
    (Own::Start, "start, until it serves"),
    (Own::Idle, "a second, nothing pinned"),
    (Own::Scrape, "a scrape, nothing pinned"),
    (
        Own::IdleFull,
        "a second, 200,000 folios pinned and nothing happening",
    ),
    (Own::ScrapeFull, "a scrape, 200,000 folios pinned"),
    (Own::Resident, "memory of its own, in KiB"),
];

/// The tables of this kernel.
pub(crate) fn of(release: &str, figures: &Figures, budgets: &[Budget]) -> anyhow::Result<String> {
    let mut text = format!("## Linux {release}\n\n");
    text += "| operation | takes | fentry adds | kprobe adds |\n| --- | ---: | ---: | ---: |\n";
    for (load, name) in LOADS {
        let takes = figures.of(Observer::Off, load).unwrap_or_default();
        let fentry = figures.added(Observer::Fentry, load)?;
        let kprobe = figures.added(Observer::Kprobe, load)?;
        writeln!(
            text,
            "| {name} | {} | {} | {} |",
            grouped(takes),
            grouped(fentry),
            grouped(kprobe)
        )?;
    }
    text += "\n| who pins nothing | takes | nothing pinned of a file: fentry adds | kprobe adds \
             | something is: fentry adds | kprobe adds |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |\n";
    for (load, name) in BYSTANDERS {
        let takes = figures.of(Observer::Off, load).unwrap_or_default();
        write!(text, "| {name} | {} |", grouped(takes))?;
        for observer in [
            Observer::RestingFentry,
            Observer::RestingKprobe,
            Observer::Fentry,
            Observer::Kprobe,
        ] {
            let added = figures.added(observer, load)?;
            let part = added * 100.0 / takes;
            write!(text, " {} ({part:.1} %) |", grouped(added))?;
        }
        text.push('\n');
    }
    text += "\n| what is attached | adds to a direct read |\n| --- | ---: |\n";
    for (observer, name) in OBSERVERS {
        writeln!(
            text,
            "| {name} | {} |",
            grouped(figures.added(observer, Load::Io)?)
        )?;
    }
    text += "\n| the agent itself, by fentry | takes |\n| --- | ---: |\n";
    for (own, name) in OWN {
        writeln!(text, "| {name} | {} |", grouped(figures.own(own)?))?;
    }
    text += "\n| budget | allowed | measured | |\n| --- | ---: | ---: | --- |\n";
    for budget in budgets {
        let kept = if budget.is_kept() {
            "kept"
        } else {
            "**exceeded**"
        };
        writeln!(
            text,
            "| {} | {} | {} | {kept} |",
            budget.what,
            grouped(budget.allowed),
            grouped(budget.measured)
        )?;
    }
    text += "\n| program | instructions that the verifier looked at |\n| --- | ---: |\n";
    for (program, verified) in &figures.programs {
        let verified = match verified {
            Ok(count) => grouped(*count),
            Err(_) => "refused".to_owned(),
        };
        writeln!(text, "| `{program}` | {verified} |")?;
    }
    Ok(text)
}

/// A whole number with a comma for each three digits.
fn grouped(number: impl Into<Number>) -> String {
    let Number(number) = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// What [`grouped`] takes.
struct Number(i64);

impl From<f64> for Number {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "instructions of one operation"
    )]
    fn from(number: f64) -> Self {
        Self(number.round() as i64)
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!(grouped(0_u64), "0");
        assert_eq!(grouped(999_u64), "999");
        assert_eq!(grouped(6529.6), "6,530");
        assert_eq!(grouped(-1_234_567.0), "-1,234,567");
    }

    #[test]
    fn an_exceeded_budget_stands_out() {
        let mut figures = Figures::default();
        for (load, _) in Load::ALL {
            for (observer, _) in Observer::ALL {
                figures.add(observer, load, 1000.0);
            }
        }
        for (own, _) in Own::ALL {
            figures.add_own(own, 1000.0);
        }
        let budget = Budget {
            what: "little".to_owned(),
            allowed: 1.0,
            measured: 2.0,
        };
        figures.programs.insert("a_fexit".to_owned(), Ok(1234));
        figures
            .programs
            .insert("b_fexit".to_owned(), Err("no".to_owned()));
        let text = of("6.1.0", &figures, &[budget]).unwrap();
        assert!(text.contains("| little | 1 | 2 | **exceeded** |"), "{text}");
        assert!(text.contains("| `a_fexit` | 1,234 |"), "{text}");
        assert!(text.contains("| `b_fexit` | refused |"), "{text}");
    }
}
