//! The census, as text and as JSON.

use super::{
    output::Format,
    table::{number, table, text as words},
    units::bytes,
};
use crate::census::{By, Report, Row, Sum};

/// In the form that was asked for.
pub(crate) fn format(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text(report),
        Format::Json => json(report),
    }
}

fn json(report: &Report) -> String {
    let Ok(mut value) = serde_json::to_value(report) else {
        return String::new();
    };
    value["difference"] = report.difference().into();
    serde_json::to_string_pretty(&value).unwrap_or_else(|it| it.to_string())
}

fn text(report: &Report) -> String {
    let mut lines = head(report);
    if report.rows.is_empty() {
        lines.push("nothing is pinned".to_owned());
        return lines.join("\n");
    }
    let mut columns = ["MEMORY", "PINS", "FOLIOS", "UNMAPPED", "SPOILED"]
        .map(number)
        .to_vec();
    let title = match report.by {
        By::Process => "MAPPED BY",
        By::File => "FILE",
        By::Memcg => "CGROUP",
        By::Kind => "KIND",
        By::Size => "SIZE OF A FOLIO",
        By::Node => "NODE",
        By::Zone => "ZONE",
        By::Block => "BLOCK",
        By::Cma => "CMA AREA",
    };
    columns.push(words(title));
    if report.by == By::Process {
        columns.push(words("LIKELY"));
    }
    if report.by == By::Node {
        columns.push(number("KERNEL COUNTS"));
    }
    let cells = |sum: &Sum, name: &str| {
        let unmapped = match sum.mapping_unknown_bytes {
            0 => bytes(sum.unmapped_bytes as f64),
            _ if sum.unmapped_bytes == 0 => "unknown".to_owned(),
            _ => format!("{} +?", bytes(sum.unmapped_bytes as f64)),
        };
        vec![
            bytes(sum.bytes as f64),
            sum.pins.to_string(),
            sum.folios.to_string(),
            unmapped,
            bytes(sum.spoiled_bytes as f64),
            name.to_owned(),
        ]
    };
    let row = |row: &Row| {
        let mut cells = cells(&row.sum, &row.name);
        if report.by == By::Process {
            cells.push(likely(row));
        }
        cells.extend(row.kernel_pins.map(|it| it.to_string()));
        cells
    };
    let mut rows: Vec<Vec<String>> = report.rows.iter().map(row).collect();
    if let Some(other) = &report.other {
        let name = format!("{} more, added up", other.rows);
        rows.push(cells(&other.sum, &name));
    }
    lines.push(String::new());
    lines.extend(table(&columns, &rows));
    lines.join("\n")
}

/// What the processes have open that can hold pins.
fn likely(row: &Row) -> String {
    let mut likely: Vec<&str> = row
        .processes
        .iter()
        .flat_map(|it| it.likely.iter().flatten().copied())
        .collect();
    likely.sort_unstable();
    likely.dedup();
    let hidden = row.processes.iter().any(|it| it.likely.is_none());
    match (likely.is_empty(), hidden) {
        (true, true) => "(not shown)".to_owned(),
        (true, false) => String::new(),
        (false, _) => likely.join(", "),
    }
}

fn head(report: &Report) -> Vec<String> {
    let Sum {
        folios,
        pins,
        bytes: size,
        unmapped_bytes,
        mapping_unknown_bytes,
        spoiled_bytes,
        ..
    } = report.sum;
    let place = match &report.range {
        Some(range) => format!(" in frames {:#x}..{:#x}", range.start, range.end),
        None => String::new(),
    };
    let mut lines = vec![format!(
        "{} pinned on {folios} folios by {pins} pins{place}",
        bytes(size as f64)
    )];
    if unmapped_bytes > 0 {
        lines.push(format!(
            "{} of it is mapped by no process",
            bytes(unmapped_bytes as f64)
        ));
    }
    if mapping_unknown_bytes > 0 {
        lines.push(format!(
            "of {} it is not known whether a process maps it",
            bytes(mapping_unknown_bytes as f64)
        ));
    }
    if spoiled_bytes > 0 {
        lines.push(format!(
            "{} can be no huge pages: folios smaller than one are pinned there",
            bytes(spoiled_bytes as f64)
        ));
    }
    if let (Some([before, after]), Some(difference)) = (report.kernel_pins, report.difference()) {
        let kernel = match before == after {
            true => format!("the kernel counts {after} since boot"),
            false => format!("the kernel counted {before} before and {after} after"),
        };
        lines.push(match difference {
            0 => kernel,
            1.. => format!("{kernel}: {difference} more were found"),
            _ => format!("{kernel}: {} fewer were found", -difference),
        });
    }
    if report.unsettled_folios > 0 {
        lines.push(format!(
            "{} folios changed as often as they were looked at",
            report.unsettled_folios
        ));
    }
    if report.untold_folios > 0 {
        lines.push(format!(
            "of {} folios this kernel does not tell whether they are pinned",
            report.untold_folios
        ));
    }
    lines.push(format!(
        "{} pages looked at in {:.1} s, {:.2} s of them of a CPU, at most {:.2} ms at once",
        report.pages,
        report.seconds,
        report.cpu_seconds,
        report.longest_slice_seconds * 1e3
    ));
    lines.extend(report.notes.iter().cloned());
    lines
}
