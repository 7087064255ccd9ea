//! The report for people.

use std::collections::BTreeMap;

use super::report::{BlindHook, Figure, Line, Report};
use crate::{
    collect::About,
    owners::{By, processes::Life, subsystems, suspects::Reason},
    views::{
        table::{Column, number, table, text as words},
        units::{age, bytes},
    },
};

/// What is not known.
const UNKNOWN: &str = "(unknown)";

pub(super) fn text(report: &Report) -> String {
    let mut lines = head(report);
    let mut rows: Vec<Vec<String>> = report.rows.iter().map(row).collect();
    if let Some(other) = &report.other {
        rows.push(vec![
            bytes(other.bytes as f64),
            other.pins.to_string(),
            String::new(),
            String::new(),
            format!("{} more, added up", other.rows),
        ]);
    }
    if rows.is_empty() {
        lines.push("nothing to show".to_owned());
    } else {
        lines.push(String::new());
        lines.extend(table(&columns(report.by), &rows));
    }
    lines.join("\n")
}

fn head(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} pinned on {} folios by {} pins; the kernel counts {}",
        size(report.bytes),
        count(report.folios),
        report.pins,
        report.kernel_pins
    )];
    if report.preexisting_pins > 0 {
        let census = match (report.census, &report.census_failed) {
            ("walking" | "entering", _) => ": a census looks for who maps them".to_owned(),
            (_, Some(why)) => format!(": whose they are is not known ({why})"),
            _ => ": whose they are is not known".to_owned(),
        };
        lines.push(format!(
            "{} of those were pinned before the agent started, or unseen{census}",
            report.preexisting_pins
        ));
    }
    lines.extend(blind(&report.blind));
    if let Some(why) = &report.unnamed_paths {
        lines.push(format!("subsystems and call paths are not known: {why}"));
    }
    let calls = &report.in_flight;
    if calls.calls > 0 {
        let mut line = format!(
            "{} calls for {} pages are under way, the oldest for {}",
            calls.calls,
            calls.pages,
            age(calls.oldest_seconds)
        );
        if let Some(oldest) = calls.oldest.first() {
            line += &format!(" by {} (process {})", oldest.comm, oldest.pid);
        }
        lines.push(line);
    }
    let off = report.unreconciled_pins;
    if off != 0 {
        let than = if off > 0 { "more" } else { "fewer" };
        lines.push(format!(
            "{} pins {than} than the kernel counts, and nothing explains it",
            off.unsigned_abs()
        ));
    }
    if report.sampling_ratio < 1.0 {
        lines.push(format!(
            "the ledger keeps one folio in {:.0}: figures are estimates with their 95 % error",
            1.0 / report.sampling_ratio
        ));
    }
    lines
}

/// What is not seen, and for how long: one line for all hooks with the same reason.
fn blind(hooks: &[BlindHook]) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&BlindHook>> = BTreeMap::new();
    for hook in hooks {
        by_reason.entry(&hook.why).or_default().push(hook);
    }
    let line = |(why, hooks): (&str, Vec<&BlindHook>)| {
        let names: Vec<_> = hooks.iter().map(|it| it.hook).collect();
        let since = match hooks.iter().filter_map(|it| it.seconds).reduce(f64::max) {
            Some(seconds) => format!(" for {}", age(seconds)),
            None => String::new(),
        };
        format!(
            "BLIND{since}: nothing is seen by {}: {why}",
            names.join(", ")
        )
    };
    by_reason.into_iter().map(line).collect()
}

fn columns(by: By) -> Vec<Column> {
    let mut columns = ["MEMORY", "PINS", "FOLIOS", "OLDEST"].map(number).to_vec();
    match by {
        By::Process => {
            columns.extend(["VMPIN", "VMLCK", "LIMIT", "PID", "UID"].map(number));
            columns.extend(["PROCESS", "CGROUP"].map(words));
        }
        By::User => {
            columns.extend(["CHARGED", "VMPIN", "VMLCK", "LIMIT", "UID"].map(number));
            columns.push(words("USER"));
        }
        By::Cgroup | By::Memcg => columns.push(words("CGROUP")),
        By::Subsystem => columns.push(words("SUBSYSTEM")),
        By::File => columns.push(words("FILE")),
        By::Stack => {
            columns.extend(["SUBSYSTEM", "PROCESS", "CALL", "CALLED FROM"].map(words));
        }
    }
    columns
}

fn size(figure: Figure) -> String {
    match figure.error {
        None => bytes(figure.value as f64),
        Some(error) => format!("{} ±{}", bytes(figure.value as f64), bytes(error as f64)),
    }
}

fn count(figure: Figure) -> String {
    match figure.error {
        None => figure.value.to_string(),
        Some(error) => format!("{} ±{error}", figure.value),
    }
}

fn row(line: &Line) -> Vec<String> {
    let mut cells = vec![
        size(line.bytes),
        count(line.pins),
        count(line.folios),
        match line.preexisting_pins {
            0 => age(line.oldest_seconds),
            _ => format!(">{}", age(line.oldest_seconds)),
        },
    ];
    match &line.about {
        About::Process(it) => {
            let accounts = it.accounts.as_ref();
            cells.push(known(accounts.map(|it| it.vm_pin_bytes)));
            cells.push(known(accounts.map(|it| it.vm_lck_bytes)));
            cells.push(limit(accounts.map(|it| it.memlock_limit_bytes)));
            cells.push(it.pid.to_string());
            cells.push(it.uid.to_string());
            cells.push(format!("{}{}", it.comm, state(it.life)));
            cells.push(it.cgroup.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
        }
        About::User(it) => {
            let accounts = it.accounts.as_ref();
            cells.push(known(accounts.and_then(|it| it.charged_bytes)));
            cells.push(known(accounts.map(|it| it.vm_pin_bytes)));
            cells.push(known(accounts.map(|it| it.vm_lck_bytes)));
            cells.push(limit(accounts.map(|it| it.memlock_limit_bytes)));
            cells.push(it.uid.map_or_else(|| "-".to_owned(), |it| it.to_string()));
            cells.push(it.name.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
        }
        About::Cgroup(it) | About::Memcg(it) => {
            let path = match (&it.path, it.id) {
                (Some(path), _) => path.clone(),
                (None, 0) => UNKNOWN.to_owned(),
                (None, id) => format!("(cgroup {id})"),
            };
            let path = match it.hierarchy {
                None | Some(0) => path,
                Some(_) => format!("{path} (v1)"),
            };
            cells.push(match &it.container {
                Some(container) => format!("{path} ({container})"),
                None => path,
            });
        }
        About::Subsystem(it) => cells.push((*it).to_owned()),
        About::File(it) => cells.push(it.text()),
        About::Stack(it) => {
            let stack = &it.stack;
            cells.push(stack.subsystem.to_owned());
            cells.push(it.comm.clone());
            let longterm = match stack.longterm {
                Some(true) => ", longterm",
                Some(false) | None => "",
            };
            let write = if stack.write { "write" } else { "read" };
            cells.push(match stack.function {
                subsystems::PREEXISTING => "not seen".to_owned(),
                function => format!("{function} ({write}{longterm})"),
            });
            cells.push(match stack.likely.as_slice() {
                [] => stack.path(),
                likely => format!("likely {}", likely.join(" or ")),
            });
        }
    }
    let mut notes = Vec::new();
    if let About::Process(process) = &line.about
        && let Some(uid) = process.accounts.and_then(|it| it.user_namespace_of)
    {
        notes.push(format!(
            "in a user namespace: held to the limit of uid {uid} outside"
        ));
    }
    if line.guessed_pins > 0 {
        notes.push(format!(
            "{} pins may be others' on the same folios",
            line.guessed_pins
        ));
    }
    if line.preexisting_pins > 0 {
        notes.push(format!(
            "{} pins from before the agent, by who maps the memory",
            line.preexisting_pins
        ));
    }
    if let Some(speed) = line.releases_per_second {
        let left = line.pins.value.div_ceil(speed) as f64;
        notes.push(format!("releases {speed} pins/s, {} left", age(left)));
    }
    if !line.suspected.is_empty() {
        let reasons: Vec<&str> = line.suspected.iter().map(|it| explain(*it)).collect();
        notes.push(format!("suspect: {}", reasons.join(", ")));
    }
    if let Some(last) = cells.last_mut().filter(|_| !notes.is_empty()) {
        *last = format!("{last}  <- {}", notes.join("; "));
    }
    cells
}

fn known(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |it| bytes(it as f64))
}

/// A limit: the inner one is absent where there is none.
fn limit(value: Option<Option<u64>>) -> String {
    match value {
        None => "-".to_owned(),
        Some(None) => "unlimited".to_owned(),
        Some(Some(limit)) => bytes(limit as f64),
    }
}

fn state(life: Life) -> &'static str {
    match life {
        Life::Alive => "",
        Life::Exiting => " (exiting)",
        Life::Ended => " (ended)",
        Life::Unknown => " (not visible)",
    }
}

fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::OwnerDead => "its process has ended",
        Reason::Old => "held for long",
        Reason::Grows => "only ever grows",
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{InFlight, Rest};
    use super::*;

    fn exact(value: u64) -> Figure {
        Figure { value, error: None }
    }

    fn report() -> Report {
        Report {
            taken_unix_seconds: 0.0,
            by: By::Subsystem,
            pins: 3,
            folios: exact(3),
            bytes: exact(3 * 4096),
            kernel_pins: 10,
            preexisting_pins: 7,
            census: "off",
            census_failed: None,
            unreconciled_pins: 0,
            blind: Vec::new(),
            unnamed_paths: None,
            in_flight: InFlight::default(),
            sampling_ratio: 1.0,
            rows: vec![Line {
                about: About::Subsystem("rdma"),
                pins: exact(2),
                bytes: exact(2 * 4096),
                folios: exact(2),
                guessed_pins: 0,
                preexisting_pins: 0,
                oldest_seconds: 1.5,
                suspected: vec![Reason::Old],
                releases_per_second: None,
            }],
            other: Some(Rest {
                rows: 1,
                pins: 1,
                bytes: 4096,
            }),
        }
    }

    #[test]
    fn what_a_process_still_has_to_release_is_told_with_the_time_it_takes() {
        let mut report = report();
        report.rows[0].suspected.clear();
        report.rows[0].pins = exact(524_288);
        report.rows[0].releases_per_second = Some(4_096);
        let text = text(&report);
        assert!(
            text.contains("rdma  <- releases 4096 pins/s, 2m08s left"),
            "{text}"
        );
    }

    #[test]
    fn a_report_shows_what_was_cut_off() {
        let text = text(&report());
        assert!(text.contains("rdma  <- suspect: held for long"), "{text}");
        assert!(text.contains("1 more, added up"), "{text}");
        assert!(
            text.contains("7 of those were pinned before the agent started, or unseen: "),
            "{text}"
        );
    }

    #[test]
    fn hooks_that_fell_silent_are_named_once_for_each_reason() {
        let silent = |hook| BlindHook {
            hook,
            why: "it is off".to_owned(),
            seconds: Some(61.0),
        };
        let mut report = report();
        report.blind = vec![silent("pin_user_pages"), silent("unpin_user_page")];
        let text = text(&report);
        let line = "BLIND for 1m01s: nothing is seen by pin_user_pages, unpin_user_page: it is off";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn why_call_paths_have_no_names_is_said_once() {
        let mut report = report();
        report.unnamed_paths = Some("the kernel hides them".to_owned());
        let text = text(&report);
        let line = "subsystems and call paths are not known: the kernel hides them";
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }

    #[test]
    fn a_guess_is_said_to_be_one() {
        let mut report = report();
        report.rows[0].guessed_pins = 2;
        let text = text(&report);
        assert!(text.contains("2 pins may be others'"), "{text}");
    }

    #[test]
    fn an_estimate_is_shown_with_its_error() {
        let mut report = report();
        report.sampling_ratio = 0.125;
        report.rows[0].bytes.error = Some(1024);
        let text = text(&report);
        assert!(text.contains("one folio in 8"), "{text}");
        assert!(text.contains("8 KiB ±1 KiB"), "{text}");
    }
}
