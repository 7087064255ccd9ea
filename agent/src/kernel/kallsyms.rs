//! The kernel's list of its functions and data, with their addresses.

use std::{
    fs::File,
    io::{self, Read},
};

use super::lines;

pub(crate) const PATH: &str = "/proc/kallsyms";

/// One of them.
pub(crate) struct Symbol<'a> {
    /// Zero where it is hidden from this process.
    pub(crate) address: u64,
    /// As `nm` has it.
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    /// The module that it is in, if it is in one.
    pub(crate) module: Option<&'a str>,
}

/// The list, as the kernel shows it to this process. Reading it takes some tens of milliseconds.
pub(crate) fn open() -> io::Result<File> {
    File::open(PATH)
}

/// Tells of each symbol of a list; a line that is none is left out.
pub(crate) fn for_each(list: impl Read, mut tell: impl FnMut(Symbol<'_>)) -> io::Result<()> {
    lines::for_each(list, |line| {
        if let Some(symbol) = symbol(line) {
            tell(symbol);
        }
    })
}

/// Whether the kernel shows this process addresses, going by the list's beginning: the same goes
/// for all of it.
pub(crate) fn shows_addresses() -> io::Result<bool> {
    /// Some of a kernel's first symbols are at address 0 in truth.
    const ENOUGH: u64 = 64 << 10;
    let mut is_shown = false;
    for_each(open()?.take(ENOUGH), |it| is_shown |= it.address != 0)?;
    Ok(is_shown)
}

/// `address kind name`, and after a tab `[module]`; where the list is printed for us, after a blank
/// `module` or nothing. There are more than a hundred thousand.
fn symbol(line: &[u8]) -> Option<Symbol<'_>> {
    let (address, rest) = word(line);
    let (kind, rest) = word(rest);
    let (name, rest) = word(rest);
    let module = str::from_utf8(rest).ok().filter(|it| !it.is_empty());
    Some(Symbol {
        address: number(address)?,
        kind: str::from_utf8(kind).ok()?,
        name: str::from_utf8(name).ok().filter(|it| !it.is_empty())?,
        module: module.map(|it| it.trim_matches(['[', ']'])),
    })
}

/// The first word, and what comes after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|it| matches!(it, b' ' | b'\t'));
    match end {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |it: &u8| char::from(*it).to_digit(16).map(u64::from);
    let add = |number: u64, it| Some(number.checked_mul(16)? + digit(it)?);
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_symbol_or_nothing() {
        let shown = "0000000000000000 A fixed\n\nnothing\nffffffffc0000000 t in_module\t[mod]\n";
        let printed = "0 A fixed \n1 t\nffffffffc0000000 t in_module mod\n";
        for list in [shown, printed] {
            let mut found = Vec::new();
            for_each(list.as_bytes(), |it| {
                found.push((it.address, it.name.to_owned(), it.module.map(str::to_owned)));
            })
            .unwrap();
            let (fixed, in_module) = ("fixed".to_owned(), "in_module".to_owned());
            assert_eq!(
                found,
                [
                    (0, fixed, None),
                    (0xffff_ffff_c000_0000, in_module, Some("mod".to_owned())),
                ]
            );
        }
    }

    #[test]
    fn fuzz_kallsyms() {
        crate::fuzz::bytes(
            &[b"0000000000000000 A fixed\nffffffffc0000000 t in_module\t[mod]\n"],
            |it| {
                for_each(it, |_| {}).unwrap();
            },
        );
    }
}
