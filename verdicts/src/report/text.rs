//! The report for people, and for programs.

use super::{
    content::{Buckets, Report, Scored},
    disagreement::Entry,
};

impl Report {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        text(self)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        // No value in the report can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn text(report: &Report) -> String {
    let mut lines = vec![
        format!("{} walks judged, kernel {}", report.samples, report.kernel),
        format!(
            "lost: {} samples, {} pages; {} folios forgotten",
            report.lost.samples, report.lost.pages, report.folios_forgotten
        ),
    ];
    if report.lost.walks_paused > 0 {
        lines.push(
            "walks with nothing to judge were not seen: writeback's hooks were off meanwhile"
                .to_owned(),
        );
    }
    let walks = &report.walks;
    let zapped = walks
        .zapped
        .map_or("no hook for zaps".to_owned(), |it| format!("{it} zapped"));
    lines.push(format!(
        "walks: {zapped}, {} GUPed, {} under writeback ({} of them GUPed); {}",
        walks.guped,
        walks.under_writeback,
        walks.guped_under_writeback,
        durations(&walks.seconds)
    ));
    lines.push(String::new());
    lines.push(format!(
        "{:<16}{:>8}{:>8}{:>9}{:>9}{:>8}{:>8}{:>10}{:>11}{:>8}",
        "vs kernel",
        "true+",
        "false+",
        "true-",
        "false-",
        "unsure",
        "unscor.",
        "precision",
        "recall",
        "open+"
    ));
    lines.extend(report.estimators.iter().map(score));
    lines.push(String::new());
    lines.push(format!(
        "{:<16}{:<12}{:<12}{:<12}{:>9}",
        "estimator", "verdict", "kernel", "ledger", "walks"
    ));
    for scored in &report.estimators {
        lines.extend(scored.matrix.iter().map(|cell| {
            format!(
                "{:<16}{:<12}{:<12}{:<12}{:>9}",
                scored.estimator, cell.verdict, cell.kernel, cell.ledger, cell.walks
            )
        }));
    }
    lines.push(String::new());
    lines.extend(report.estimators.iter().flat_map(wrong));
    if !report.disagreements.is_empty() {
        lines.push(String::new());
        lines.push("the last wrong verdicts of each kind:".to_owned());
        lines.extend(report.disagreements.iter().map(disagreement));
    }
    lines.join("\n")
}

fn score(scored: &Scored) -> String {
    let score = &scored.against_kernel;
    format!(
        "{:<16}{:>8}{:>8}{:>9}{:>9}{:>8}{:>8}{:>10}{:>11}{:>8}",
        scored.estimator,
        score.true_positive,
        score.false_positive,
        score.true_negative,
        score.false_negative,
        score.uncertain,
        score.unscored,
        share(score.precision),
        share(score.recall),
        scored.false_positives.open
    )
}

fn wrong(scored: &Scored) -> Vec<String> {
    let mut lines: Vec<String> = scored
        .wrong
        .iter()
        .filter(|(_, races)| !races.is_empty())
        .map(|(error, races)| {
            let races: Vec<String> = races
                .iter()
                .map(|(race, walks)| format!("{walks} {race}"))
                .collect();
            format!("{:<16}{error}: {}", scored.estimator, races.join(", "))
        })
        .collect();
    let ended = &scored.false_positives;
    if ended.healed_seconds.count > 0 || ended.open > 0 {
        lines.push(format!(
            "{:<16}healed: {}; {} open, {} GUPed again, {} out of sight",
            scored.estimator,
            durations(&ended.healed_seconds),
            ended.open,
            ended.guped_again,
            ended.out_of_sight
        ));
    }
    lines
}

fn disagreement(it: &Entry) -> String {
    let unknown = |it: Option<u32>| it.map_or("?".to_owned(), |it| it.to_string());
    format!(
        "{} {} ({}) #{} at {:.6} s: file {} page {} folio {} of {}, thread {}\n    \
         mapcount {:?}, pins {:?}, references {:?}, found {}, zaps {}, gups {}, refcount {}, flag {}\n    {}",
        it.estimator,
        it.error,
        it.race,
        it.number,
        it.at_seconds,
        it.file.as_deref().unwrap_or("none"),
        it.index,
        it.folio,
        it.pages,
        it.tid,
        it.mapcount,
        it.pins,
        it.references,
        unknown(it.entries_found),
        unknown(it.zaps),
        it.gups,
        it.refcount,
        it.flag_before,
        it.steps.join(", ")
    )
}

fn durations(it: &Buckets) -> String {
    if it.count == 0 {
        return "none timed".to_owned();
    }
    let half = it
        .buckets
        .iter()
        .find(|(_, count)| count * 2 >= it.count)
        .map_or("longer".to_owned(), |(bound, _)| format!("<= {bound} s"));
    format!(
        "{} timed, mean {:.6} s, half {half}",
        it.count,
        it.sum / it.count as f64
    )
}

fn share(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |it| format!("{it:.4}"))
}
