//! One wrong verdict with everything needed to understand it: the file, the folio,
//! the counts, the estimator's steps, and what raced.

use estimator::{Answer, Estimator, Judgement, Pincount, judge_all};
use probe_abi::{MkcleanSample, SampleFlags};
use serde::Serialize;

use crate::judge::{Disagreement, Errors, WrongVerdict};

/// A wrong verdict, as the report has it.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) estimator: &'static str,
    pub(super) error: &'static str,
    pub(super) race: &'static str,
    /// Samples judged before it.
    pub(super) number: u64,
    /// The kernel's monotonic clock.
    pub(super) at_seconds: f64,
    /// Device and inode; absent for memory without a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    pub(super) folio: String,
    pub(super) index: u64,
    pub(super) pages: u32,
    pub(super) tid: u32,
    pub(super) walk_seconds: f64,
    /// At the entry and at the exit, as the next two.
    pub(super) mapcount: [u32; 2],
    pub(super) pins: [u32; 2],
    pub(super) references: [u32; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entries_found: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zaps: Option<u32>,
    pub(super) gups: u32,
    pub(super) refcount: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pincount: Option<u32>,
    pub(super) writeback: bool,
    pub(super) flag_before: &'static str,
    pub(super) steps: Vec<String>,
}

/// Every wrong verdict that was kept, by estimator, then kind, oldest first.
pub(super) fn all(errors: &Errors) -> Vec<Entry> {
    let mut entries = Vec::new();
    for estimator in Estimator::ALL {
        for error in WrongVerdict::ALL {
            let last = errors.last(estimator, error);
            entries.extend(last.map(|walk| Entry::of(estimator, error, walk)));
        }
    }
    entries
}

impl Entry {
    fn of(estimator: Estimator, error: WrongVerdict, walk: &Disagreement) -> Self {
        let sample = &walk.sample;
        // Judged again from what was kept: only counts cross a walk.
        let (judged, _) = judge_all(walk.flags, &walk.seen);
        Self {
            estimator: estimator.name(),
            error: error.name(),
            race: walk.race.name(),
            number: walk.number,
            at_seconds: sample.at_ns as f64 / 1e9,
            file: file(sample),
            folio: format!("{:#x}", sample.folio),
            index: sample.index,
            pages: sample.pages,
            tid: sample.tid,
            walk_seconds: sample.walk_ns as f64 / 1e9,
            mapcount: [sample.mapcount_entry, sample.mapcount_exit],
            pins: [sample.pins_entry, sample.pins_exit],
            references: [sample.gets_entry, sample.gets_exit],
            entries_found: walk.seen.found.ok(),
            zaps: walk.seen.zaps_in_walk.ok(),
            gups: sample.gups,
            refcount: sample.refcount.cast_signed(),
            pincount: sample.has(SampleFlags::LARGE).then_some(sample.pincount),
            writeback: sample.has(SampleFlags::WRITEBACK),
            flag_before: walk.flags.get(estimator).name(),
            steps: steps(&judged[estimator as usize]),
        }
    }
}

/// What an estimator asked and was told.
pub(crate) fn steps(judged: &Judgement) -> Vec<String> {
    judged
        .steps
        .as_slice()
        .iter()
        .map(|step| format!("{} {}", step.ask.name(), answer(step.answer)))
        .collect()
}

fn answer(answer: Answer) -> String {
    match answer {
        Answer::Flag(true) => "set".to_owned(),
        Answer::Flag(false) => "clear".to_owned(),
        Answer::Number(number) => number.to_string(),
        Answer::Refcount(number) | Answer::Pincount(Pincount::Exact(number)) => number.to_string(),
        Answer::Pincount(Pincount::Absent) => "none".to_owned(),
        Answer::Done => "done".to_owned(),
        Answer::Unknown(missing) => format!("unknown ({})", missing.name()),
    }
}

/// `MAJOR:MINOR:INODE`; the kernel keeps 20 bits of the minor number.
fn file(sample: &MkcleanSample) -> Option<String> {
    let (major, minor) = (sample.device >> 20, sample.device & 0xf_ffff);
    (sample.inode != 0).then(|| format!("{major}:{minor}:{}", sample.inode))
}
