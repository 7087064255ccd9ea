//! House rules that a program can check; leaves out everything that needs a reader.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{paths, process};

/// Longer than this, a file holds more than one idea.
const MOST_LINES: usize = 400;

/// Fails with every rule that is broken, and where.
pub(super) fn check() -> anyhow::Result<()> {
    let listed = process::text(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(paths::root()),
    )?;
    let mut broken = Vec::new();
    for name in listed.lines() {
        let path = paths::root().join(name);
        if !path.is_file() {
            continue;
        }
        let text = || fs::read_to_string(&path).with_context(|| format!("cannot read {name}"));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => broken.extend(
                in_rust(&text()?)
                    .into_iter()
                    .map(|rule| format!("{name}: {rule}")),
            ),
            Some("md") => {
                let folder = path.parent().context("a file is in a folder")?;
                let dead = dead_links(&text()?, |link| folder.join(link).exists());
                broken.extend(
                    dead.into_iter()
                        .map(|link| format!("{name}: {link} is not there")),
                );
            }
            _ => {}
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("house rules are broken:\n  {}", broken.join("\n  "))
}

fn in_rust(text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if !text.starts_with("//! ") {
        broken.push("does not begin with `//!` and what it is".to_owned());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        broken.push(format!("has {lines} lines, more than {MOST_LINES}"));
    }
    if text.contains(concat!("#[", "ignore")) {
        broken.push("ignores a test".to_owned());
    }
    broken
}

/// Relative links of a Markdown text that lead nowhere.
fn dead_links(text: &str, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut dead = Vec::new();
    for part in text.split("](").skip(1) {
        let Some((link, _)) = part.split_once(')') else {
            continue;
        };
        let path = link.split('#').next().unwrap_or_default();
        let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
        if !elsewhere && !exists(Path::new(path)) {
            dead.push(link.to_owned());
        }
    }
    dead
}

#[cfg(test)]
mod tests {
    use super::{dead_links, in_rust};

    #[test]
    fn a_file_says_first_what_it_is() {
        assert!(in_rust("//! One idea.\nfn main() {}\n").is_empty());
        assert_eq!(in_rust("fn main() {}\n").len(), 1);
    }

    #[test]
    fn a_long_file_and_an_ignored_test_are_told() {
        let long = format!("//! Long.\n{}", "//\n".repeat(500));
        assert_eq!(in_rust(&long).len(), 1);
        assert_eq!(in_rust(concat!("//! One.\n#[", "ignore]\n")).len(), 1);
    }

    #[test]
    fn only_relative_links_are_followed() {
        let text = "[a](docs/a.md#part) [b](https://example.org/b) [c](#part) [d](gone.md)";
        let dead = dead_links(text, |path| path.to_str() == Some("docs/a.md"));
        assert_eq!(dead, ["gone.md"]);
    }
}
