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
        if let Some(symbol) = symbol(&String::from_utf8_lossy(line)) {
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

fn symbol(line: &str) -> Option<Symbol<'_>> {
    let mut words = line.split_ascii_whitespace();
    Some(Symbol {
        address: u64::from_str_radix(words.next()?, 16).ok()?,
        kind: words.next()?,
        name: words.next()?,
        module: words.next().map(|it| it.trim_matches(['[', ']'])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_symbol_or_nothing() {
        let list = "0000000000000000 A fixed\n\nnothing\nffffffffc0000000 t in_module\t[mod]\n";
        let mut found = Vec::new();
        for_each(list.as_bytes(), |it| {
            found.push((it.address, it.name.to_owned(), it.module.map(str::to_owned)));
        })
        .unwrap();
        assert_eq!(
            found,
            [
                (0, "fixed".to_owned(), None),
                (
                    0xffff_ffff_c000_0000,
                    "in_module".to_owned(),
                    Some("mod".to_owned())
                ),
            ]
        );
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
