//! Who holds pins, as a report: by process, user, cgroup, subsystem, file or call path.

mod report;
mod text;

use super::output::Format;
pub(crate) use report::{Report, Wanted};

/// The report, in the form that was asked for.
pub(crate) fn format(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text::text(report),
        Format::Json => serde_json::to_string_pretty(report).unwrap_or_else(|it| it.to_string()),
    }
}
