//! Debian's control format (deb822): stanzas of `Field: value`; leaves out what the fields mean.

use std::collections::HashMap;

/// One stanza; field names are in lower case, continuation lines are joined by newlines.
pub(crate) type Stanza = HashMap<String, String>;

/// Every stanza of the text. Comments are left out, and lines that are neither field nor continuation.
pub(crate) fn parse(text: &str) -> Vec<Stanza> {
    let mut stanzas = Vec::new();
    let mut stanza = Stanza::new();
    let mut field = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !stanza.is_empty() {
                stanzas.push(std::mem::take(&mut stanza));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = stanza.get_mut(&field) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            field = name.trim().to_ascii_lowercase();
            stanza.insert(field.clone(), value.trim().to_owned());
        }
    }
    stanzas
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn stanzas_are_told_apart_by_empty_lines() {
        let stanzas = parse("Package: a\nVersion: 1\n\n\nPackage: b\n");
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0]["version"], "1");
        assert_eq!(stanzas[1]["package"], "b");
    }

    #[test]
    fn a_comment_within_a_stanza_does_not_end_it() {
        let stanzas = parse("Types: deb\n# http://snapshot.example/2025\nURIs: http://m/debian\n");
        assert_eq!(stanzas.len(), 1);
        assert_eq!(stanzas[0]["uris"], "http://m/debian");
    }

    #[test]
    fn continuation_lines_belong_to_their_field() {
        let stanzas = parse("Suites: bookworm\n  bookworm-updates\nComponents: main\n");
        assert_eq!(stanzas[0]["suites"], "bookworm\nbookworm-updates");
        assert_eq!(stanzas[0]["components"], "main");
    }
}
