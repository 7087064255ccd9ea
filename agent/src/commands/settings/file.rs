//! The text of a configuration file: keys, their values as a flag would have them, and lines. Leaves
//! out which keys there are.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(in crate::commands) struct Fault {
    pub(in crate::commands) line: usize,
    pub(in crate::commands) why: String,
}

/// Faults of the notation that are told; each may follow from the one before.
const MOST_FAULTS: usize = 5;

/// What the file has, in the order of its lines, and what cannot be understood of it.
pub(super) fn entries(bytes: &[u8]) -> (Vec<Entry>, Vec<Fault>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = Lines::of(bytes).at(error.valid_up_to());
            let why = "it is not UTF-8".to_owned();
            return (Vec::new(), vec![Fault { line, why }]);
        }
    };
    let lines = Lines::of(bytes);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let faults = errors.iter().take(MOST_FAULTS).map(|it| Fault {
            line: lines.at(it.span().map_or(0, |Range { start, .. }| start)),
            why: format!("it is not TOML: {}", it.message()),
        });
        return (Vec::new(), faults.collect());
    }
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let line = lines.at(key.span().start);
        let key = key.get_ref().clone().into_owned();
        match text_of(value.get_ref()) {
            Ok(value) => entries.push(Entry { key, value, line }),
            Err(what) => faults.push(Fault {
                line,
                why: format!("`{key}` is {what}, and has to be text, a number, true or false"),
            }),
        }
    }
    entries.sort_by_key(|it| it.line);
    (entries, faults)
}

/// A value as it would be said to a flag; otherwise what it is.
fn text_of(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|it| it.to_string())
            .map_err(|_| "too large a number"),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(it) => Ok(it.to_string()),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

/// Where lines end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(bytes: &[u8]) -> Self {
        let ends = bytes.iter().enumerate().filter(|it| *it.1 == b'\n');
        Self(ends.map(|it| it.0).collect())
    }

    /// The line, counted from 1, of the byte there.
    fn at(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|end| *end < byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let (entries, faults) = entries(text.as_bytes());
        assert_eq!(faults, []);
        let all = entries.into_iter();
        all.map(|it| (it.key, it.value, it.line)).collect()
    }

    fn faults(bytes: &[u8]) -> Vec<(usize, String)> {
        let (_, faults) = entries(bytes);
        faults.into_iter().map(|it| (it.line, it.why)).collect()
    }

    #[test]
    fn a_value_is_what_a_flag_would_be_told() {
        let text = "# first\nlisten = \"127.0.0.1:1\"\n\nring-bytes = 0x10_00\nb = true\na = 1.5\n";
        let of = |key: &str, value: &str, line| (key.to_owned(), value.to_owned(), line);
        assert_eq!(
            read(text),
            [
                of("listen", "127.0.0.1:1", 2),
                of("ring-bytes", "4096", 4),
                of("b", "true", 5),
                of("a", "1.5", 6)
            ]
        );
        assert_eq!(read(""), []);
        assert_eq!(read("a = '1'\r\nb = 2\r\n")[1].2, 2);
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        for (text, line, why) in [
            (&b"a = 1\nb = \n"[..], 2, "it is not TOML: "),
            (b"a = 1\na = 2\n", 2, "it is not TOML: duplicate key"),
            (b"a = 1\n[run]\nb = 2\n", 2, "`run` is a table"),
            (b"\na = [1]\n", 2, "`a` is a list"),
            (b"a = 2026-01-01", 1, "`a` is a date"),
            (b"a.b = 1", 1, "`a` is a table"),
            (b"a = 1\n\n\xff = 1\n", 3, "it is not UTF-8"),
            (b"a = \"\0\"", 1, "it is not TOML: "),
        ] {
            let found = faults(text);
            let (at, said) = &found[0];
            assert!(*at == line && said.starts_with(why), "{found:?}");
        }
        assert!(faults("= \n".repeat(100).as_bytes()).len() <= MOST_FAULTS);
    }
}
