//! What a person is shown of a guest that went wrong: the console's last lines and QEMU's own words.
//! Leaves out the command's output, which never goes over the console.

use std::{fs, path::Path};

use crate::{paths, say};

const LINES: usize = 25;

/// Prints the tails, and keeps the whole console for a closer look.
pub(crate) fn show(series: &str, console: &Path, errors: &Path) {
    let kept = paths::target().join(format!("lab-console-{series}.log"));
    let text = String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned();
    tail("console", &text);
    tail(
        "qemu",
        &String::from_utf8_lossy(&fs::read(errors).unwrap_or_default()),
    );
    if fs::copy(console, &kept).is_ok() {
        say::step(
            "lab",
            format_args!("the whole console is in {}", kept.display()),
        );
    }
}

fn tail(area: &str, text: &str) {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        say::step(area, line);
    }
}
