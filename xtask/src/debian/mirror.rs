//! Which Debian mirror this machine uses, read from its own apt sources; never a host of ours.
//! Leaves out security and update archives: they are other places with other suites.

use std::{fs, path::Path};

use super::control;
use crate::refused;

/// The mirror's URI, from the first source that has a Debian release.
pub(crate) fn of_this_machine() -> anyhow::Result<String> {
    let mut files: Vec<_> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    files.iter().find_map(|file| in_file(file)).ok_or_else(|| {
        refused(
            "no Debian mirror among this machine's apt sources: the lab's kernels and tools are Debian \
             packages; on another distribution, run this in a container of debian:trixie",
        )
    })
}

fn in_file(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    match file.extension()?.to_str()? {
        "sources" => in_deb822(&text),
        "list" => in_one_line_style(&text),
        _ => None,
    }
}

fn in_deb822(text: &str) -> Option<String> {
    control::parse(text)
        .into_iter()
        .filter(|stanza| stanza.get("enabled").is_none_or(|enabled| enabled != "no"))
        .filter(|stanza| {
            stanza
                .get("suites")
                .is_some_and(|suites| suites.split_whitespace().any(is_release))
        })
        .find_map(|stanza| {
            stanza
                .get("uris")?
                .split_whitespace()
                .find(|uri| is_archive(uri))
                .map(bare)
        })
}

fn in_one_line_style(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line
            .split('#')
            .next()?
            .trim()
            .strip_prefix("deb ")?
            .trim_start();
        // Options stand in brackets before the URI.
        let line = line
            .strip_prefix('[')
            .map_or(Some(line), |rest| Some(rest.split_once(']')?.1))?;
        let mut words = line.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        (is_archive(uri) && is_release(suite)).then(|| bare(uri))
    })
}

/// A suite of Debian's main archive under any of the names that sources use.
fn is_release(suite: &str) -> bool {
    let names = ["bullseye", "bookworm", "trixie", "forky", "duke", "sid"];
    let aliases = ["oldoldstable", "oldstable", "stable", "testing", "unstable"];
    names.iter().chain(&aliases).any(|name| suite == *name)
}

/// Security archives and the like have release names too, but end otherwise.
fn is_archive(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian")
}

fn bare(uri: &str) -> String {
    uri.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{in_deb822, in_one_line_style};

    #[test]
    fn the_release_is_taken_and_not_its_security_archive() {
        let text = "Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\n\n\
                    Types: deb\n# a comment\nURIs: http://m.example/debian/\nSuites: bookworm bookworm-updates\n";
        assert_eq!(in_deb822(text).as_deref(), Some("http://m.example/debian"));
    }

    #[test]
    fn a_source_that_is_switched_off_is_left_out() {
        let text = "Enabled: no\nURIs: http://m.example/debian\nSuites: trixie\n";
        assert_eq!(in_deb822(text), None);
    }

    #[test]
    fn one_line_style_is_read_with_and_without_options() {
        let plain =
            "# deb http://old/debian trixie main\ndeb http://a.example/debian trixie main\n";
        assert_eq!(
            in_one_line_style(plain).as_deref(),
            Some("http://a.example/debian")
        );
        let options = "deb [arch=amd64 signed-by=/k.gpg] http://b.example/debian bookworm main\n";
        assert_eq!(
            in_one_line_style(options).as_deref(),
            Some("http://b.example/debian")
        );
    }

    #[test]
    fn another_projects_archive_is_no_mirror() {
        assert_eq!(
            in_one_line_style("deb https://apt.example/cloud trixie main\n"),
            None
        );
        assert_eq!(
            in_one_line_style("deb http://m.example/ubuntu noble main\n"),
            None
        );
    }
}
