//! Who holds pins. Labels are bounded: subsystems are a fixed list, of cgroups the largest are
//! named and the rest is added up as `other`.

use std::collections::{BTreeMap, BTreeSet};

use verdicts::Histogram;

use hooks::Feeds;

use super::{
    family::{Metric, Samples, counter, gauge, histogram},
    labels::{CGROUP, REPAIR, SUBSYSTEM, SUSPICION},
};
use crate::{
    collect::{About, Row, Snapshot},
    owners::{By, subsystems},
};

/// Cgroups that have a series of their own.
const MOST_CGROUPS: usize = 20;

/// The name under which the others are added up.
const OTHER: &str = "other";

/// How a cgroup is called of which not even the path is known.
const UNKNOWN: &str = "unknown";

const OUTSTANDING: &[Feeds] = &[Feeds::Pins, Feeds::PinsReleased];

pub(super) const OWNERS: &[Metric] = &[
    gauge(
        "subsystem_pinned_bytes",
        "Memory of pinned folios by the part of the kernel that holds them, a folio that several \
         hold divided among them; an estimate where the ledger samples.",
        |it, out| subsystems(it, out, |row| row.bytes.value),
    )
    .by(&[SUBSYSTEM])
    .from(OUTSTANDING),
    gauge(
        "subsystem_spoiled_bytes",
        "Memory that can be no huge page because a smaller folio in it is pinned, by the part of the \
         kernel that holds it; a block counts for each that has a pin in it. At least so much where \
         the ledger samples.",
        |it, out| {
            for subsystem in known(it) {
                let of_it = it.book.spoiled.by_subsystem.get(subsystem);
                out.count(&[subsystem], of_it.copied().unwrap_or_default());
            }
        },
    )
    .by(&[SUBSYSTEM])
    .from(OUTSTANDING),
    gauge(
        "subsystem_pins",
        "Pins outstanding by the part of the kernel that holds them; an estimate where the ledger \
         samples.",
        |it, out| subsystems(it, out, |row| row.pins.value),
    )
    .by(&[SUBSYSTEM])
    .from(OUTSTANDING),
    gauge(
        "subsystem_oldest_pin_seconds",
        "Age of the oldest pin that a part of the kernel holds; 0 without any.",
        |it, out| {
            let now = it.at.as_nanos() as u64;
            subsystems(it, out, |row| now.saturating_sub(row.since_ns) as f64 / 1e9);
        },
    )
    .by(&[SUBSYSTEM])
    .from(OUTSTANDING),
    histogram(
        "hold_seconds",
        "How long owners held folios without a break, by the part of the kernel.",
        |it, out| {
            for subsystem in known(it) {
                let times = it.hold_times.get(subsystem).copied().unwrap_or_default();
                let histogram = Histogram::of_holds(&times.counts, times.sum_ns);
                out.histogram(&[subsystem], &histogram);
            }
        },
    )
    .by(&[SUBSYSTEM])
    .from(OUTSTANDING),
    gauge(
        "cgroup_pinned_bytes",
        "Memory of pinned folios by the cgroup in which the process was when it pinned, a folio \
         that several hold divided among them: the largest, and the rest as other.",
        |it, out| largest(out, it.book.rows(By::Cgroup)),
    )
    .by(&[CGROUP])
    .from(OUTSTANDING),
    gauge(
        "memcg_pinned_bytes",
        "Memory of pinned folios by the memory cgroup that is charged for it: the largest, and \
         the rest as other.",
        |it, out| largest(out, it.book.rows(By::Memcg)),
    )
    .by(&[CGROUP])
    .from(OUTSTANDING),
    gauge(
        "leak_suspects",
        "Owners whose pins look forgotten: their process has ended, they are held for long, or \
         they only grow.",
        |it, out| {
            for (reason, owners) in &it.suspects {
                out.count(&[reason.name()], *owners as u64);
            }
        },
    )
    .by(&[SUSPICION])
    .from(OUTSTANDING),
    gauge(
        "guessed_pins",
        "Pins outstanding whose owner is a guess: several owners held the folio, and whose pins were \
         released is not known.",
        |it, out| {
            let rows = it.book.rows(By::Process).iter();
            out.one(rows.map(|it| it.guessed).sum());
        },
    )
    .from(OUTSTANDING),
    gauge(
        "ledger_sampling_ratio",
        "Part of the folios that the ledger keeps: 1 is all of them, and then all figures are \
         exact.",
        |it, out| out.add(&[], 1.0 / it.book.one_in.max(1) as f64),
    ),
    gauge(
        "passed_over_pins",
        "Pins outstanding that sampling keeps out of the ledger; they are in pinscope_pins.",
        |it, out| out.one(it.outstanding.passed_over),
    )
    .from(OUTSTANDING),
    gauge("owners", "Owners that are told apart now.", |it, out| {
        out.one(it.owners as u64);
    }),
    gauge(
        "owners_limit",
        "Owners that can be told apart.",
        |it, out| out.one(it.agent.owners_limit as u64),
    ),
    gauge("ledger_slots", "Slots that the ledger has.", |it, out| {
        out.one(it.agent.ledger_slots);
    }),
    gauge(
        "ledger_slots_used",
        "Slots of the ledger in use.",
        |it, out| out.one(it.outstanding.slots_used),
    ),
    counter(
        "repaired_total",
        "References that the audit repaired in the ledger, by cause: pins taken off whose release was \
         not seen (release_missed), pins entered that were not seen (pin_missed), plain references \
         taken off whose release no hook sees (reference_gone).",
        |it, out| {
            for cause in crate::collect::Cause::ALL {
                out.count(&[cause.name()], it.audited.of(cause));
            }
        },
    )
    .by(&[REPAIR]),
    counter(
        "audited_folios_total",
        "Folios of the ledger that the audit compared with the kernel's own count.",
        |it, out| out.one(it.audited.folios),
    ),
    counter(
        "audit_rounds_total",
        "Rounds of that audit through the whole ledger.",
        |it, out| out.one(it.audited.rounds),
    ),
];

/// Every subsystem of the table, and every module that ever was one.
fn known(snapshot: &Snapshot) -> BTreeSet<&'static str> {
    let modules = snapshot.hold_times.keys().copied();
    subsystems::names().chain(modules).collect()
}

/// A figure of each subsystem; 0 of those that hold nothing.
fn subsystems(snapshot: &Snapshot, out: &mut Samples, figure: impl Fn(&Row) -> f64) {
    let mut figures: BTreeMap<&str, f64> =
        known(snapshot).into_iter().map(|it| (it, 0.0)).collect();
    for row in snapshot.book.rows(By::Subsystem) {
        if let About::Subsystem(subsystem) = row.about {
            figures.insert(subsystem, figure(row));
        }
    }
    for (subsystem, figure) in figures {
        out.add(&[subsystem], figure);
    }
}

/// Names the largest, and adds up the rest.
fn largest(out: &mut Samples, rows: &[Row]) {
    let mut named: BTreeMap<&str, f64> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        let name = match &row.about {
            About::Cgroup(it) | About::Memcg(it) if place < MOST_CGROUPS => {
                it.path.as_deref().unwrap_or(UNKNOWN)
            }
            _ => OTHER,
        };
        *named.entry(name).or_default() += row.bytes.value;
    }
    named.entry(OTHER).or_default();
    for (name, bytes) in named {
        out.add(&[name], bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixtures::row_of_cgroup;

    #[test]
    fn however_many_cgroups_there_are_the_series_are_few_and_add_up() {
        let rows: Vec<Row> = (0..1_000)
            .map(|at| row_of_cgroup(at, Some(&format!("/{at}")), 4096))
            .collect();
        let metric = OWNERS.iter().find(|it| it.name == "cgroup_pinned_bytes");
        let mut out = Samples::of(metric.unwrap());
        largest(&mut out, &rows);
        let family = out.family().unwrap();
        let metrics = family.get_metric();
        assert_eq!(metrics.len(), MOST_CGROUPS + 1);
        let sum: f64 = metrics.iter().map(|it| it.get_gauge().get_value()).sum();
        assert!((sum - 4_096_000.0).abs() < 1.0);
    }

    /// One was removed and another made in its place.
    #[test]
    fn two_cgroups_of_one_path_are_one_series() {
        let rows = [
            row_of_cgroup(1, Some("/a"), 8192),
            row_of_cgroup(2, Some("/a"), 4096),
        ];
        let metric = OWNERS.iter().find(|it| it.name == "cgroup_pinned_bytes");
        let mut out = Samples::of(metric.unwrap());
        largest(&mut out, &rows);
        let family = out.family().unwrap();
        assert_eq!(family.get_metric().len(), 2);
    }

    #[test]
    fn a_cgroup_s_name_is_the_value_of_its_label_whatever_is_in_it() {
        let name = "/a\"} 1\npinscope_pins 7\n\\\",b=\"c";
        let rows = [row_of_cgroup(1, Some(name), 4096)];
        let metric = OWNERS.iter().find(|it| it.name == "cgroup_pinned_bytes");
        let mut out = Samples::of(metric.unwrap());
        largest(&mut out, &rows);
        let family = [out.family().unwrap()];
        let text = prometheus::TextEncoder::new().encode_to_string(&family);
        let text = text.unwrap();
        let series: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
        let wanted = r#"cgroup="/a\"} 1\npinscope_pins 7\n\\\",b=\"c""#;
        assert!(
            series
                .iter()
                .all(|it| it.starts_with("pinscope_cgroup_pinned_bytes{")),
            "{text}"
        );
        assert!(series[0].contains(wanted), "{text}");
    }
}
