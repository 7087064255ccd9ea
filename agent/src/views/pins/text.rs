//! The report for people.

use super::{group::About, report::Report, rows::Row};
use crate::owners::{By, suspects::Reason};

pub(super) fn text(report: &Report) -> String {
    let mut lines = vec![format!(
        "{} pinned ({} pages); /proc/vmstat: {} pages since the agent started",
        bytes(report.pinned_bytes),
        report.pinned_pages,
        report.vmstat_pages
    )];
    if report.pinned_before_start_pages > 0 {
        lines.push(format!(
            "{} pages more were pinned before it, nobody knows by whom",
            report.pinned_before_start_pages
        ));
    }
    if report.sampled_one_in > 1 {
        lines.push(format!(
            "the ledger was full: one folio in {} is known, rows are estimates with their 95 % error",
            report.sampled_one_in
        ));
    }
    let mut table: Vec<Vec<String>> = vec![head(report.by)];
    table.extend(report.rows.iter().map(line));
    if let Some(other) = &report.other {
        table.push(vec![
            bytes(other.bytes),
            other.pages.to_string(),
            String::new(),
            String::new(),
            format!("{} more, added up", other.rows),
        ]);
    }
    if report.rows.is_empty() {
        lines.push("nothing to show".to_owned());
    } else {
        lines.push(String::new());
        lines.extend(aligned(&table));
    }
    lines.join("\n")
}

fn head(by: By) -> Vec<String> {
    let mut head = vec!["PINNED", "PAGES", "FOLIOS", "OLDEST"];
    match by {
        By::Process => head.extend(["VMPIN", "VMLCK", "LIMIT", "PID", "UID", "PROCESS", "CGROUP"]),
        By::Cgroup | By::Memcg => head.extend(["CGROUP"]),
        By::Subsystem => head.extend(["SUBSYSTEM"]),
        By::File => head.extend(["FILE"]),
        By::Stack => head.extend(["SUBSYSTEM", "PROCESS", "CALL", "CALLED FROM"]),
    }
    head.into_iter().map(str::to_owned).collect()
}

fn line(row: &Row) -> Vec<String> {
    let pinned = match row.error_bytes {
        None => bytes(row.bytes),
        Some(error) => format!("{} ±{}", bytes(row.bytes), bytes(error)),
    };
    let mut line = vec![
        pinned,
        row.pages.to_string(),
        row.folios.to_string(),
        age(row.oldest_seconds),
    ];
    match &row.about {
        About::Process(it) => {
            let accounts = it.accounts.as_ref();
            let known = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), bytes);
            line.push(known(accounts.map(|it| it.vm_pin_bytes)));
            line.push(known(accounts.map(|it| it.vm_lck_bytes)));
            line.push(match accounts {
                None => "-".to_owned(),
                Some(it) => it
                    .memlock_limit_bytes
                    .map_or_else(|| "unlimited".to_owned(), bytes),
            });
            line.push(it.pid.to_string());
            line.push(it.uid.to_string());
            let ended = if it.lives { "" } else { " (ended)" };
            line.push(format!("{}{ended}", it.comm));
            line.push(it.cgroup.clone());
        }
        About::Cgroup(it) | About::Memcg(it) => line.push(match &it.container {
            Some(container) => format!("{} ({container})", it.path),
            None => it.path.clone(),
        }),
        About::Subsystem(it) => line.push(it.clone()),
        About::File(it) => line.push(it.text()),
        About::Stack(it) => {
            line.push(it.subsystem.clone());
            line.push(it.comm.clone());
            let longterm = if it.longterm == Some(true) {
                ", longterm"
            } else {
                ""
            };
            let write = if it.write { "write" } else { "read" };
            line.push(format!("{} ({write}{longterm})", it.function));
            line.push(it.path());
        }
    }
    if !row.suspected.is_empty() {
        let reasons: Vec<&str> = row.suspected.iter().map(|it| explain(*it)).collect();
        if let Some(last) = line.last_mut() {
            *last = format!("{last}  <- suspect: {}", reasons.join(", "));
        }
    }
    line
}

fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::OwnerDead => "its process has ended",
        Reason::Old => "held for long",
        Reason::Grows => "only ever grows",
    }
}

/// Columns of one width each, numbers to the right; the last one as it is.
fn aligned(table: &[Vec<String>]) -> Vec<String> {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        table
            .iter()
            .filter_map(|row| row.get(column))
            .map(|it| it.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let numeric = 4;
    table
        .iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                if column < numeric {
                    format!("{cell:>width$}")
                } else if column + 1 == row.len() {
                    cell.clone()
                } else {
                    format!("{cell:<width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ")
        })
        .collect()
}

/// Bytes with a unit, exact where it is a whole number of it.
fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| bytes >= *size) else {
        return format!("{bytes} B");
    };
    if bytes.is_multiple_of(*size) {
        format!("{} {unit}", bytes / size)
    } else {
        format!("{:.1} {unit}", bytes as f64 / *size as f64)
    }
}

fn age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0}ms", seconds * 1e3),
        1..60 => format!("{seconds:.1}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Rest;
    use super::*;
    use crate::kernel::sys::page_bytes;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(page_bytes() * 512), "2 MiB");
        assert_eq!(bytes(6_000_000), "5.7 MiB");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(age(0.25), "250ms");
        assert_eq!(age(75.0), "1m15s");
        assert_eq!(age(90_000.0), "1d01h");
    }

    #[test]
    fn a_report_shows_what_was_cut_off() {
        let report = Report {
            by: By::Subsystem,
            pinned_pages: 3,
            pinned_bytes: 3 * page_bytes(),
            vmstat_pages: 3,
            pinned_before_start_pages: 7,
            sampled_one_in: 1,
            rows: vec![Row {
                about: About::Subsystem("rdma".to_owned()),
                pages: 2,
                bytes: 2 * page_bytes(),
                error_bytes: None,
                folios: 2,
                oldest_seconds: 1.5,
                suspected: vec![Reason::Old],
            }],
            other: Some(Rest {
                rows: 1,
                pages: 1,
                bytes: page_bytes(),
            }),
        };
        let text = text(&report);
        assert!(text.contains("rdma  <- suspect: held for long"), "{text}");
        assert!(text.contains("1 more, added up"), "{text}");
        assert!(text.contains("7 pages more were pinned before"), "{text}");
    }
}
