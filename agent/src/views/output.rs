//! Printing a report: in which form, and to a reader that may have gone away.

use std::{
    fmt::Display,
    io::{self, Write},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use verdicts::{Report, harmless};

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// For programs.
    Json,
}

impl Format {
    /// A report of verdicts, in this form.
    pub(crate) fn verdicts(self, report: &Report) -> String {
        match self {
            Self::Text => report.text(),
            Self::Json => report.json(),
        }
    }
}

/// Prints the report and a newline; nothing in it that would do a terminal harm. A closed pipe
/// (`pinscope doctor | head`) is the reader's choice and no error.
pub(crate) fn print(report: &impl Display) {
    let text = report.to_string();
    let mut out = io::stdout().lock();
    for line in text.lines() {
        let _ = writeln!(out, "{}", harmless(line));
    }
}
