//! Printing a report: to a reader that may have gone away.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints the report and a newline. A closed pipe (`pinscope doctor | head`) is
/// the reader's choice and no error.
pub(crate) fn print(report: &impl Display) {
    let _ = writeln!(io::stdout().lock(), "{report}");
}
