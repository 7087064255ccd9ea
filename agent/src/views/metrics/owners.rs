//! Who holds pins, as metrics. Labels are bounded: subsystems are a fixed list,
//! of cgroups the largest are named and the rest is added up as `other`.

use std::collections::BTreeMap;

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Registry};
use verdicts::Histogram;

use super::{
    durations::Durations,
    register::{float_gauges, gauge, gauges, histograms},
};
use crate::{
    collect::Snapshot,
    owners::{By, HoldTimes, OwnerRegistry, subsystems, suspects::Reason},
    views::pins::{self, About, Filter, Row},
};

/// Cgroups that have a series of their own.
const MOST_CGROUPS: usize = 20;

/// The name under which the others are added up.
const OTHER: &str = "other";

pub(super) struct OwnerMetrics {
    subsystem_bytes: IntGaugeVec,
    subsystem_oldest: GaugeVec,
    hold: Durations,
    cgroup_bytes: IntGaugeVec,
    memcg_bytes: IntGaugeVec,
    suspects: IntGaugeVec,
    one_in: IntGauge,
    untracked: IntGauge,
    owners: IntGauge,
    owner_capacity: IntGauge,
}

impl OwnerMetrics {
    pub(super) fn new(it: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            subsystem_bytes: gauges(
                it,
                "subsystem_pinned_bytes",
                "Pins outstanding by the part of the kernel that they are held for; where the \
                 ledger samples, an estimate.",
                &["subsystem"],
            )?,
            subsystem_oldest: float_gauges(
                it,
                "subsystem_oldest_pin_seconds",
                "Age of the oldest pin that is held for a part of the kernel; 0 without any.",
                &["subsystem"],
            )?,
            hold: histograms(
                it,
                "hold_seconds",
                "How long owners held folios without a break, by the part of the kernel.",
                &["subsystem"],
            )?,
            cgroup_bytes: gauges(
                it,
                "cgroup_pinned_bytes",
                "Pins outstanding by the cgroup of the process that pinned: the largest, and \
                 the rest as other.",
                &["cgroup"],
            )?,
            memcg_bytes: gauges(
                it,
                "memcg_pinned_bytes",
                "Pins outstanding by the memory cgroup that is charged for the memory: the \
                 largest, and the rest as other.",
                &["cgroup"],
            )?,
            suspects: gauges(
                it,
                "leak_suspects",
                "Owners whose pins look forgotten: their process has ended, they are held for \
                 long, or they only grow.",
                &["reason"],
            )?,
            one_in: gauge(
                it,
                "ledger_sampled_one_in",
                "One folio in so many is in the ledger; 1 is all of them.",
            )?,
            untracked: gauge(
                it,
                "untracked_pages",
                "Pages pinned that sampling keeps out of the ledger; they are in pinned_pages.",
            )?,
            owners: gauge(it, "owners", "Owners that are told apart now.")?,
            owner_capacity: gauge(it, "owners_limit", "Owners that can be told apart.")?,
        };
        for subsystem in subsystems::names() {
            metrics.subsystem_bytes.with_label_values(&[subsystem]);
            metrics.subsystem_oldest.with_label_values(&[subsystem]);
            metrics
                .hold
                .show(&[subsystem], &histogram(&HoldTimes::default()));
        }
        for reason in Reason::ALL {
            metrics.suspects.with_label_values(&[reason.name()]);
        }
        Ok(metrics)
    }

    pub(super) fn update(&self, owners: &mut OwnerRegistry, now: &Snapshot) {
        let total = now.outstanding.pinned_pages;
        let mut by_subsystem: BTreeMap<String, (u64, f64)> = subsystems::names()
            .map(|it| (it.to_owned(), (0, 0.0)))
            .collect();
        for row in rows(owners, By::Subsystem, total) {
            if let About::Subsystem(subsystem) = row.about {
                by_subsystem.insert(subsystem, (row.bytes, row.oldest_seconds));
            }
        }
        for (subsystem, (bytes, oldest)) in by_subsystem {
            let labels = [subsystem.as_str()];
            self.subsystem_bytes
                .with_label_values(&labels)
                .set(bytes as i64);
            self.subsystem_oldest.with_label_values(&labels).set(oldest);
        }
        for (subsystem, times) in owners.hold_times() {
            self.hold.show(&[subsystem], &histogram(&times));
        }
        largest(&self.cgroup_bytes, rows(owners, By::Cgroup, total));
        largest(&self.memcg_bytes, rows(owners, By::Memcg, total));
        for reason in Reason::ALL {
            self.suspects
                .with_label_values(&[reason.name()])
                .set(owners.suspects.count(reason) as i64);
        }
        self.one_in.set(pins::one_in(owners) as i64);
        self.untracked.set(now.outstanding.untracked_pages as i64);
        self.owners.set(owners.owner_count() as i64);
        self.owner_capacity.set(owners.owner_capacity() as i64);
    }
}

fn rows(owners: &mut OwnerRegistry, by: By, total: u64) -> Vec<Row> {
    let all = Filter {
        by,
        older_ms: 0,
        suspects: false,
    };
    pins::rows(owners, all, total)
}

/// Names the largest, adds up the rest, and forgets who was named before.
fn largest(gauges: &IntGaugeVec, rows: Vec<Row>) {
    gauges.reset();
    let mut other = 0;
    for (place, row) in rows.into_iter().enumerate() {
        match &row.about {
            About::Cgroup(it) | About::Memcg(it) if place < MOST_CGROUPS => gauges
                .with_label_values(&[it.path.as_str()])
                .set(row.bytes as i64),
            _ => other += row.bytes as i64,
        }
    }
    gauges.with_label_values(&[OTHER]).set(other);
}

fn histogram(times: &HoldTimes) -> Histogram {
    Histogram::of_holds(&times.counts, times.sum_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::pins::Cgroup;
    use prometheus::Opts;

    fn row(path: String, bytes: u64) -> Row {
        Row {
            about: About::Cgroup(Cgroup {
                path,
                container: None,
            }),
            pages: bytes / 4096,
            bytes,
            error_bytes: None,
            folios: 1,
            oldest_seconds: 0.0,
            suspected: Vec::new(),
        }
    }

    #[test]
    fn however_many_cgroups_there_are_the_series_are_few_and_add_up() {
        let gauges = IntGaugeVec::new(Opts::new("test", "test"), &["cgroup"]).unwrap();
        for _ in 0..2 {
            let rows: Vec<Row> = (0..1_000).map(|at| row(format!("/{at}"), 4096)).collect();
            largest(&gauges, rows);
        }
        let families = prometheus::core::Collector::collect(&gauges);
        let metrics = families[0].get_metric();
        assert_eq!(metrics.len(), MOST_CGROUPS + 1);
        let sum: f64 = metrics.iter().map(|it| it.get_gauge().get_value()).sum();
        assert!((sum - 4_096_000.0).abs() < 1.0);
    }
}
