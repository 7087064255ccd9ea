//! Printing a report: in which form, to a reader that may have gone away, or to a disk that is full.

use std::{
    fmt::Display,
    fs::File,
    io::{self, ErrorKind, Write as _},
    os::fd::AsFd as _,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use verdicts::{Report, harmless};

use crate::error::AgentError;

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

/// Prints the report and a newline; nothing in it that would do a terminal harm.
pub(crate) fn print(report: &impl Display) -> Result<(), AgentError> {
    let mut text = String::new();
    for line in report.to_string().lines() {
        text += &harmless(line);
        text.push('\n');
    }
    printed(write(text.as_bytes()))
}

/// What came of printing. A closed pipe (`pinscope doctor | head`) is the reader's choice and no error.
pub(crate) fn printed(outcome: io::Result<()>) -> Result<(), AgentError> {
    match outcome {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => Err(AgentError::Print { source }),
        _ => Ok(()),
    }
}

/// Past the standard library's own writer, which takes it for written where nothing may be.
fn write(text: &[u8]) -> io::Result<()> {
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    out.write_all(text)
}
