//! Pins and releases as the probes count them, what is outstanding, and the kernel's own counts.

use probe_abi::WalkKind;

use hooks::Feeds;

use super::{
    family::{Metric, counter, gauge},
    labels::{CENSUS, WALK},
};
use crate::collect::Progress;

const OUTSTANDING: &[Feeds] = &[Feeds::Pins, Feeds::PinsReleased];

pub(super) const PINS: &[Metric] = &[
    counter(
        "pins_acquired_total",
        "Pins acquired (FOLL_PIN), one for each page.",
        |it, out| out.one(it.totals.pages_pinned),
    )
    .from(&[Feeds::Pins]),
    counter(
        "pins_released_total",
        "Pins released, one for each page.",
        |it, out| out.one(it.totals.pages_released),
    )
    .from(&[Feeds::PinsReleased]),
    counter(
        "pins_rolled_back_total",
        "Pins that the kernel took and rolled back inside a call, where a hook saw it: in neither \
         total above.",
        |it, out| out.one(it.totals.pages_rolled_back),
    ),
    counter(
        "references_acquired_total",
        "Plain references that get_user_pages*() took (FOLL_GET), one for each page.",
        |it, out| out.one(it.totals.pages_referenced),
    )
    .from(&[Feeds::References]),
    counter(
        "references_released_total",
        "Plain references released, where a hook sees it: direct I/O before Linux 6.3.",
        |it, out| out.one(it.totals.pages_unreferenced),
    )
    .from(&[Feeds::ReferencesReleased]),
    counter(
        "gup_calls_total",
        "Calls of get_user_pages*() and pin_user_pages*() that took at least one page.",
        |it, out| out.one(it.totals.gup_calls),
    ),
    counter(
        "release_calls_total",
        "Calls that release pins.",
        |it, out| out.one(it.totals.release_calls),
    )
    .from(&[Feeds::PinsReleased]),
    gauge("pins", "Pins outstanding.", |it, out| {
        out.one(it.outstanding.pins);
    })
    .from(OUTSTANDING),
    gauge(
        "pinned_folios",
        "Folios with at least one pin; an estimate where the ledger samples.",
        |it, out| out.add(&[], it.book.folios.value),
    )
    .from(OUTSTANDING),
    gauge(
        "pinned_bytes",
        "Memory of the folios that are pinned, each once; an estimate where the ledger samples.",
        |it, out| out.add(&[], it.book.bytes.value),
    )
    .from(OUTSTANDING),
    gauge(
        "spoiled_bytes",
        "Memory that can be no huge page because a smaller folio in it is pinned: whole blocks of the \
         size of a huge page, each once. At least so much where the ledger samples.",
        |it, out| out.one(it.book.spoiled.all),
    )
    .from(OUTSTANDING),
    gauge(
        "references",
        "Plain references on file folios that are not known to be released.",
        |it, out| out.one(it.outstanding.references),
    )
    .from(&[Feeds::References, Feeds::ReferencesReleased]),
    gauge(
        "in_flight_calls",
        "Calls under way that pin and sleep: what they pinned is in no other figure yet.",
        |it, out| out.one(it.calls.count),
    ),
    gauge(
        "in_flight_pages",
        "Pages that those calls were asked for.",
        |it, out| out.one(it.calls.pages),
    ),
    gauge(
        "in_flight_oldest_seconds",
        "For how long the oldest of those calls has been under way; 0 without any.",
        |it, out| out.add(&[], it.calls.oldest_age(it.at).as_secs_f64()),
    ),
    counter(
        "mkclean_walks_total",
        "Walks of folio_mkclean() or page_mkclean(): of a folio that nothing maps (unmapped), with \
         nothing to judge (settled), sampled, or of a folio that the ledger does not keep \
         (passed_over).",
        |it, out| {
            for (outcome, kind) in [
                ("unmapped", WalkKind::UNMAPPED),
                ("settled", WalkKind::SETTLED),
                ("sampled", WalkKind::SAMPLED),
                ("passed_over", WalkKind::PASSED_OVER),
            ] {
                out.count(&[outcome], it.totals.walks[kind]);
            }
        },
    )
    .by(&[WALK])
    .from(&[Feeds::Walks]),
    counter(
        "zaps_in_walk_total",
        "Mapcount decrements of folios in the ledger by a zap, while a walk of mkclean was under \
         way somewhere.",
        |it, out| out.one(it.totals.zaps_in_walk),
    )
    .from(&[Feeds::Walks, Feeds::Zaps]),
    counter(
        "gups_in_writeback_total",
        "GUPs of file folios under writeback: one for each run of a call's pages on one folio.",
        |it, out| out.one(it.totals.gups_in_writeback),
    ),
];

pub(super) const KERNEL: &[Metric] = &[
    counter(
        "kernel_pins_acquired_total",
        "The kernel's nr_foll_pin_acquired, since boot.",
        |it, out| out.one(it.kernel.acquired),
    ),
    counter(
        "kernel_pins_released_total",
        "The kernel's nr_foll_pin_released, since boot.",
        |it, out| out.one(it.kernel.released),
    ),
    gauge(
        "preexisting_pins",
        "Pins that the kernel counts and whose owners are not known: held when the agent started \
         and not entered by the census, or not seen. While there are any, verdicts on folios that are not in the ledger are \
         uncertain.",
        |it, out| out.one(it.balance.preexisting),
    ),
    counter(
        "census_pins_entered_total",
        "Pins from before the agent started that the census at its start found and entered in the \
         ledger.",
        |it, out| out.one(it.found.pins),
    ),
    gauge(
        "census_state",
        "1 for how far the census at the start is, 0 for the others.",
        |it, out| {
            for name in Progress::NAMES {
                out.count(&[name], u64::from(it.found.progress.name() == name));
            }
        },
    )
    .by(&[CENSUS]),
    gauge(
        "unreconciled_pins",
        "Pins that pinscope knows, preexisting ones included, less pins that the kernel counts, as \
         far as calls in flight do not explain it; 0 is agreement.",
        |it, out| out.add(&[], it.balance.difference as f64),
    ),
    gauge(
        "pins_rolled_back_unseen",
        "Pins that the kernel counted as acquired and as released, and that no hook saw: rolled \
         back inside a call, because the page had to move before a longterm pin, or a fast pin \
         lost a race. For a moment also pins of calls under way; and for good what came and went \
         while a hook was silent.",
        |it, out| out.one(it.rolled_back_unseen()),
    ),
];
