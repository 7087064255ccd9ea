//! The budgets: what the probes may cost at most. All of them are here; leaves out measuring.

use std::fmt;

use super::figures::{BYSTANDERS, Figures, Load, Observer, Own};

/// What the kprobes may cost, in multiples of what bpftrace's script costs in the same boot; fentry has one.
const KPROBE_TIMES: f64 = 2.0;

/// The part of a call of one page that each further page of a call within one folio may cost.
const PAGE_PART: f64 = 0.1;

/// The part of what an operation takes that may be added for somebody who pins nothing: what
/// measurements of the same differ by.
const BYSTANDER_PART: f64 = 0.01;

/// What the agent itself may take, whatever the kernel.
const OWN: [(Own, &str, f64); 5] = [
    (Own::Idle, "the agent, a second, nothing pinned", 1e6),
    (Own::Scrape, "the agent, a scrape, nothing pinned", 6e6),
    (
        Own::IdleFull,
        "the agent, a second, 200,000 folios pinned",
        5e6,
    ),
    (
        Own::ScrapeFull,
        "the agent, a scrape, 200,000 folios pinned",
        6e6,
    ),
    (Own::Resident, "the agent, KiB of its own", 20_480.0),
];

/// One budget and what was measured, in instructions but for memory.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) what: String,
    pub(crate) allowed: f64,
    pub(crate) measured: f64,
}

impl Budget {
    pub(crate) fn is_kept(&self) -> bool {
        self.measured <= self.allowed
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:.0}, {:.0} allowed",
            self.what, self.measured, self.allowed
        )
    }
}

/// Every budget, with what was measured in this boot.
pub(crate) fn of(figures: &Figures) -> anyhow::Result<Vec<Budget>> {
    let script = figures.added(Observer::Bpftrace, Load::Io)?;
    let mut budgets = vec![
        Budget {
            what: "a direct read, fentry: what bpftrace's script adds".to_owned(),
            allowed: script,
            measured: figures.added(Observer::Fentry, Load::Io)?,
        },
        Budget {
            what: "a direct read, kprobe: twice what bpftrace's script adds".to_owned(),
            allowed: script * KPROBE_TIMES,
            measured: figures.added(Observer::Kprobe, Load::Io)?,
        },
        of_page("fentry", figures, Observer::Fentry)?,
        of_page("kprobe", figures, Observer::Kprobe)?,
    ];
    for (load, name) in BYSTANDERS {
        let allowed = figures.of(Observer::Off, load).unwrap_or_default() * BYSTANDER_PART;
        for (observer, way) in [
            (Observer::RestingFentry, "fentry"),
            (Observer::RestingKprobe, "kprobe"),
        ] {
            budgets.push(Budget {
                what: format!("{name}, nothing pinned of a file, {way}: a hundredth"),
                allowed,
                measured: figures.added(observer, load)?,
            });
        }
    }
    for (own, what, allowed) in OWN {
        budgets.push(Budget {
            what: what.to_owned(),
            allowed,
            measured: figures.own(own)?,
        });
    }
    Ok(budgets)
}

fn of_page(way: &str, figures: &Figures, observer: Observer) -> anyhow::Result<Budget> {
    let one = figures.added(observer, Load::Folio1)?;
    let all = figures.added(observer, Load::Folio512)?;
    Ok(Budget {
        what: format!(
            "each further page of one folio in a call, {way}: a tenth of a call of one page"
        ),
        allowed: one * PAGE_PART,
        measured: (all - one) / 511.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything takes 1000 without an observer, and as much more as is said with one.
    fn figures(fentry: f64, kprobe: f64, folio512: f64) -> Figures {
        let mut figures = Figures::default();
        for load in [Load::Io, Load::Folio1, Load::Folio512] {
            figures.add(Observer::Off, load, 1000.0);
        }
        figures.add(Observer::Bpftrace, Load::Io, 2180.0);
        for (observer, added) in [(Observer::Fentry, fentry), (Observer::Kprobe, kprobe)] {
            figures.add(observer, Load::Io, 1000.0 + added);
            figures.add(observer, Load::Folio1, 3000.0);
            figures.add(observer, Load::Folio512, 1000.0 + folio512);
        }
        for (load, _) in BYSTANDERS {
            figures.add(Observer::Off, load, 10_000.0);
            figures.add(Observer::RestingFentry, load, 10_100.0);
            figures.add(Observer::RestingKprobe, load, 10_000.0 + kprobe / 23.6);
        }
        for (own, _, allowed) in OWN {
            figures.add_own(own, allowed);
        }
        figures
    }

    fn exceeded(figures: &Figures) -> Vec<String> {
        let budgets = of(figures).unwrap();
        let over = budgets.into_iter().filter(|it| !it.is_kept());
        over.map(|it| it.what).collect()
    }

    #[test]
    fn a_budget_that_is_just_met_is_kept() {
        let exact = figures(1180.0, 2360.0, 2000.0 + 511.0 * 200.0);
        assert_eq!(exceeded(&exact), [""; 0]);
    }

    #[test]
    fn each_budget_is_exceeded_by_its_own_figure() {
        assert_eq!(
            exceeded(&figures(1181.0, 2360.0, 2000.0)),
            ["a direct read, fentry: what bpftrace's script adds"]
        );
        let kprobe = exceeded(&figures(1180.0, 2361.0, 2000.0));
        assert_eq!(kprobe.len(), 1 + BYSTANDERS.len());
        assert!(kprobe.iter().all(|it| it.contains("kprobe")), "{kprobe:?}");
        let pages = exceeded(&figures(1180.0, 2360.0, 2000.0 + 511.0 * 201.0));
        assert!(pages.len() == 2 && pages.iter().all(|it| it.starts_with("each further page")));
    }

    #[test]
    fn a_budget_without_its_measurement_is_an_error() {
        assert!(of(&Figures::default()).is_err());
    }
}
