//! Text that comes from elsewhere: names of processes, files and cgroups, fields of a
//! recording.

use std::{borrow::Cow, fmt::Write as _};

/// Bytes as text that does no harm wherever it is shown: what is not printable, or turns the
/// order of what follows round, is written as `\xNN` or `\u{NNNN}`, and a backslash as two.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str(r"\\"),
                it => push_harmless(&mut text, it),
            }
        }
        for byte in chunk.invalid() {
            push(&mut text, format_args!(r"\x{byte:02x}"));
        }
    }
    text
}

/// The same of text whose backslashes are escapes already.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        push_harmless(&mut harmless, character);
    }
    Cow::Owned(harmless)
}

fn push_harmless(text: &mut String, character: char) {
    match character {
        it if is_harmless(it) => text.push(it),
        it if it.is_ascii() => push(text, format_args!(r"\x{:02x}", it as u32)),
        it => push(text, format_args!(r"\u{{{:x}}}", it as u32)),
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(what);
}

/// Neither a control character, nor one that is not seen or changes the direction of what is
/// around it, nor a line or paragraph separator.
fn is_harmless(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_stays_as_it_is() {
        for text in ["postgres: writer", "кириллица", "日本語", "a b\"c'"] {
            assert_eq!(shown(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_moves_the_cursor_or_ends_the_line_is_written_out() {
        assert_eq!(shown(b"x\n9 TiB  999"), r"x\x0a9 TiB  999");
        assert_eq!(shown(b"\x1b[2J"), r"\x1b[2J");
        assert_eq!(shown("\u{9b}2J".as_bytes()), r"\u{9b}2J");
        assert_eq!(shown("a\u{202e}b".as_bytes()), r"a\u{202e}b");
    }

    #[test]
    fn what_was_escaped_is_not_escaped_again() {
        let once = shown(b"a\\b\n");
        assert_eq!(harmless(&once), once);
        assert_eq!(harmless("a\nb"), r"a\x0ab");
    }

    #[test]
    fn bytes_that_are_no_text_are_written_out_and_can_be_told_from_text() {
        assert_eq!(shown(b"a\xd0"), r"a\xd0");
        assert_eq!(shown(br"a\xd0"), r"a\\xd0");
    }
}
