//! The budgets: what the probes may cost at most. All of them are here; leaves out measuring.

use std::fmt;

use super::figures::{Figures, Load, Observer};

/// What the kprobes may cost, in multiples of what bpftrace's script costs in the same boot; fentry has one.
const KPROBE_TIMES: f64 = 2.0;

/// The part of a call of one page that each further page of a call within one folio may cost.
const PAGE_PART: f64 = 0.1;

/// The part of what an operation takes that may be added for somebody who pins nothing: what
/// measurements of the same differ by.
const BYSTANDER_PART: f64 = 0.01;

/// One budget and what was measured, in instructions.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) what: &'static str,
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
            "{}: {:.0} instructions, {:.0} allowed",
            self.what, self.measured, self.allowed
        )
    }
}

/// Every budget, with what was measured in this boot.
pub(crate) fn of(figures: &Figures) -> anyhow::Result<Vec<Budget>> {
    let script = figures.added(Observer::Bpftrace, Load::Io)?;
    Ok(vec![
        Budget {
            what: "a direct read, fentry: what bpftrace's script adds",
            allowed: script,
            measured: figures.added(Observer::Fentry, Load::Io)?,
        },
        Budget {
            what: "a direct read, kprobe: twice what bpftrace's script adds",
            allowed: script * KPROBE_TIMES,
            measured: figures.added(Observer::Kprobe, Load::Io)?,
        },
        of_page(
            "each further page of one folio in a call, fentry: a tenth of a call of one page",
            figures,
            Observer::Fentry,
        )?,
        of_page(
            "each further page of one folio in a call, kprobe: a tenth of a call of one page",
            figures,
            Observer::Kprobe,
        )?,
        of_bystander(
            "a mkclean walk with nothing pinned of a file, fentry: a hundredth",
            figures,
            (Observer::RestingFentry, Load::Walk),
        )?,
        of_bystander(
            "a mkclean walk with nothing pinned of a file, kprobe: a hundredth",
            figures,
            (Observer::RestingKprobe, Load::Walk),
        )?,
        of_bystander(
            "a `munmap` with nothing pinned of a file, fentry: a hundredth",
            figures,
            (Observer::RestingFentry, Load::Unmap),
        )?,
        of_bystander(
            "a `munmap` with nothing pinned of a file, kprobe: a hundredth",
            figures,
            (Observer::RestingKprobe, Load::Unmap),
        )?,
    ])
}

fn of_bystander(
    what: &'static str,
    figures: &Figures,
    (observer, load): (Observer, Load),
) -> anyhow::Result<Budget> {
    let takes = figures.of(Observer::Off, load).unwrap_or_default();
    Ok(Budget {
        what,
        allowed: takes * BYSTANDER_PART,
        measured: figures.added(observer, load)?,
    })
}

fn of_page(what: &'static str, figures: &Figures, observer: Observer) -> anyhow::Result<Budget> {
    let one = figures.added(observer, Load::Folio1)?;
    let all = figures.added(observer, Load::Folio512)?;
    Ok(Budget {
        what,
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
        for load in [Load::Walk, Load::Unmap] {
            figures.add(Observer::Off, load, 10_000.0);
            figures.add(Observer::RestingFentry, load, 10_100.0);
            figures.add(Observer::RestingKprobe, load, 10_000.0 + kprobe / 23.6);
        }
        figures
    }

    fn kept(figures: &Figures) -> Vec<bool> {
        of(figures).unwrap().iter().map(Budget::is_kept).collect()
    }

    #[test]
    fn a_budget_that_is_just_met_is_kept() {
        let exact = figures(1180.0, 2360.0, 2000.0 + 511.0 * 200.0);
        assert_eq!(kept(&exact), [true; 8]);
    }

    #[test]
    fn each_budget_is_exceeded_by_its_own_figure() {
        assert_eq!(
            kept(&figures(1181.0, 2360.0, 2000.0)),
            [false, true, true, true, true, true, true, true]
        );
        assert_eq!(
            kept(&figures(1180.0, 2361.0, 2000.0)),
            [true, false, true, true, true, false, true, false]
        );
        let pages = figures(1180.0, 2360.0, 2000.0 + 511.0 * 201.0);
        assert_eq!(
            kept(&pages),
            [true, true, false, false, true, true, true, true]
        );
    }

    #[test]
    fn a_budget_without_its_measurement_is_an_error() {
        assert!(of(&Figures::default()).is_err());
    }
}
