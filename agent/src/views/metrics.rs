//! Every metric there is, with its help text. Names are stable; label sets are
//! bounded.

mod durations;
mod hooks;
mod owners;
mod register;
mod verdicts;

use probe_abi::{Lost, WalkKind};
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use self::{hooks::HookMetrics, verdicts::VerdictMetrics};
use owners::OwnerMetrics;
use register::{counter, counters, gauge, gauges, set};

use crate::{
    collect::{Snapshot, State},
    kernel::sys::page_bytes,
};

/// The registry and its metrics; `update` brings them to the present.
pub(crate) struct Metrics {
    registry: Registry,
    pages_pinned: IntCounter,
    pages_unpinned: IntCounter,
    pages_referenced: IntCounter,
    pages_unreferenced: IntCounter,
    pages_undone: IntCounter,
    gup_calls: IntCounter,
    unpin_calls: IntCounter,
    pinned_pages: IntGauge,
    pinned_folios: IntGauge,
    pinned_bytes: IntGauge,
    references: IntGauge,
    ledger_slots: IntGauge,
    ledger_slots_used: IntGauge,
    walks: IntCounterVec,
    samples_issued: IntCounter,
    samples_delivered: IntCounter,
    samples_judged: IntCounter,
    verdicts: VerdictMetrics,
    zaps: IntCounter,
    gups_in_writeback: IntCounter,
    lost: IntCounterVec,
    hooks: HookMetrics,
    vmstat_acquired: IntCounter,
    vmstat_released: IntCounter,
    rolled_back: IntGauge,
    from_before: IntGauge,
    unreconciled: IntGauge,
    owners: OwnerMetrics,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let it = &registry;
        let build = gauges(
            it,
            "build_info",
            "Always 1; its labels say what runs.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            pages_pinned: counter(it, "pages_pinned_total", "Pages pinned (FOLL_PIN).")?,
            pages_unpinned: counter(it, "pages_unpinned_total", "Pages unpinned (FOLL_PIN).")?,
            pages_referenced: counter(
                it,
                "pages_referenced_total",
                "Pages that get_user_pages*() took a plain reference on (FOLL_GET).",
            )?,
            pages_unreferenced: counter(
                it,
                "pages_unreferenced_total",
                "Plain references given back where a hook sees it: direct I/O before Linux 6.3.",
            )?,
            pages_undone: counter(
                it,
                "pages_undone_total",
                "Pins that the kernel undid inside a pin call, in neither total above, where a hook saw it.",
            )?,
            gup_calls: counter(
                it,
                "gup_calls_total",
                "GUP calls that took at least one page.",
            )?,
            unpin_calls: counter(it, "unpin_calls_total", "Calls that release pins.")?,
            pinned_pages: gauge(it, "pinned_pages", "Pins outstanding, in pages.")?,
            pinned_folios: gauge(it, "pinned_folios", "Folios with at least one pin.")?,
            pinned_bytes: gauge(it, "pinned_bytes", "Memory of the folios that are pinned.")?,
            references: gauge(
                it,
                "referenced_pages",
                "Plain references on file folios whose release was not seen.",
            )?,
            ledger_slots: gauge(it, "ledger_slots", "Slots that the ledger has.")?,
            ledger_slots_used: gauge(it, "ledger_slots_used", "Slots of the ledger in use.")?,
            walks: counters(
                it,
                "mkclean_walks_total",
                "Walks of folio_mkclean() or page_mkclean(): unmapped, settled (nothing to judge), \
                 sampled, or of a folio that the ledger does not track.",
                &["outcome"],
            )?,
            samples_issued: counter(
                it,
                "samples_issued_total",
                "Samples that walks wanted to send: those delivered and those lost.",
            )?,
            samples_delivered: counter(
                it,
                "samples_delivered_total",
                "Samples that came through the ring.",
            )?,
            samples_judged: counter(it, "samples_judged_total", "Samples judged.")?,
            verdicts: VerdictMetrics::new(it)?,
            zaps: counter(
                it,
                "zaps_in_walk_total",
                "Mapcount decrements of tracked folios by a zap, while a mkclean walk was under \
                 way somewhere.",
            )?,
            gups_in_writeback: counter(
                it,
                "gups_in_writeback_total",
                "Runs of references that a GUP took on a file folio under writeback.",
            )?,
            lost: counters(
                it,
                "lost_total",
                "What was lost, by cause; in pages, except ring_full (samples), threads_full and \
                 return_missed (calls), hook_missed (runs of a program).",
                &["cause"],
            )?,
            hooks: HookMetrics::new(it)?,
            vmstat_acquired: counter(
                it,
                "vmstat_acquired_pages_total",
                "Growth of the kernel's nr_foll_pin_acquired since the agent started.",
            )?,
            vmstat_released: counter(
                it,
                "vmstat_released_pages_total",
                "Growth of the kernel's nr_foll_pin_released since the agent started.",
            )?,
            rolled_back: gauge(
                it,
                "rolled_back_pages",
                "Pages that the kernel counted as pinned and as released while no call told of them: taken \
                 back inside a call, because the page had to migrate before a long pin or a fast pin \
                 lost a race. For a moment what is under way, too.",
            )?,
            from_before: gauge(
                it,
                "pinned_before_start_pages",
                "Pages that were pinned when the agent started and are not known to be released: who \
                 pins them is not known, and verdicts on folios that are not in the ledger are uncertain.",
            )?,
            unreconciled: gauge(
                it,
                "unreconciled_pages",
                "Pins counted here less pins counted by the kernel; should be 0 at rest.",
            )?,
            owners: OwnerMetrics::new(it)?,
            registry,
        };
        metrics.at_zero();
        Ok(metrics)
    }

    /// A first loss, or a first verdict, is a step and not an appearance.
    fn at_zero(&self) {
        for cause in Lost::NAMES {
            self.lost.with_label_values(&[cause]);
        }
    }

    /// Brings every metric to what `state` holds now.
    pub(crate) fn update(&self, state: &mut State, now: &Snapshot) {
        self.owners.update(&mut state.owners, now);
        let state = &*state;
        let totals = &now.totals;
        set(&self.pages_pinned, totals.pages_pinned);
        set(&self.pages_unpinned, totals.pages_unpinned);
        set(&self.pages_referenced, totals.pages_referenced);
        set(&self.pages_unreferenced, totals.pages_unreferenced);
        set(&self.pages_undone, totals.pages_undone);
        set(&self.gup_calls, totals.gup_calls);
        set(&self.unpin_calls, totals.unpin_calls);
        set(&self.samples_issued, totals.samples_issued);
        set(&self.samples_delivered, state.delivered);
        set(&self.samples_judged, state.judge.judged());
        set(&self.zaps, totals.zaps_in_walk);
        set(&self.gups_in_writeback, totals.gups_in_writeback);
        set(&self.vmstat_acquired, now.vmstat.acquired);
        set(&self.vmstat_released, now.vmstat.released);
        self.rolled_back.set(now.rolled_back.cast_signed());
        self.from_before.set(now.from_before.cast_signed());
        self.unreconciled.set(now.unreconciled);
        self.pinned_pages.set(now.outstanding.pinned_pages as i64);
        self.pinned_folios.set(now.outstanding.pinned_folios as i64);
        self.pinned_bytes
            .set((now.outstanding.held_pages * page_bytes()) as i64);
        self.references.set(now.outstanding.references as i64);
        self.ledger_slots.set(now.ledger_slots as i64);
        self.ledger_slots_used
            .set(now.outstanding.slots_used as i64);
        for (name, kind) in [
            ("unmapped", WalkKind::UNMAPPED),
            ("settled", WalkKind::SETTLED),
            ("sampled", WalkKind::SAMPLED),
            ("untracked", WalkKind::UNTRACKED),
        ] {
            set(&self.walks.with_label_values(&[name]), totals.walks[kind]);
        }
        for (name, count) in Lost::NAMES.iter().zip(totals.lost) {
            set(&self.lost.with_label_values(&[name]), count);
        }
        self.verdicts.update(&state.judge);
        self.hooks.update(&state.hooks, state.self_test);
    }

    /// The text format, without what a hook that is blind would feed.
    pub(crate) fn encode(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        families.retain(|it| !self.hooks.withholds(it.name()));
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_visible_before_the_first_loss() {
        let text = String::from_utf8(Metrics::new().unwrap().encode().unwrap()).unwrap();
        for cause in Lost::NAMES {
            assert!(
                text.contains(&format!("pinscope_lost_total{{cause=\"{cause}\"}} 0")),
                "{cause}"
            );
        }
    }
}
