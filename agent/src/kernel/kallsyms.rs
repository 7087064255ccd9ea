//! The kernel's list of its functions and data, with their addresses.

use std::{
    fs::{self, File},
    io::{self, Read as _},
};

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

/// The list. Takes some tens of milliseconds.
pub(crate) fn read() -> io::Result<String> {
    let bytes = fs::read(PATH)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the kernel shows this process addresses, going by the list's beginning: the same goes
/// for all of it.
pub(crate) fn shows_addresses() -> io::Result<bool> {
    /// Some of a kernel's first symbols are at address 0 in truth.
    const ENOUGH: u64 = 64 << 10;
    let mut beginning = Vec::new();
    File::open(PATH)?.take(ENOUGH).read_to_end(&mut beginning)?;
    Ok(has_addresses(&String::from_utf8_lossy(&beginning)))
}

/// Whether any address of a list is shown.
pub(crate) fn has_addresses(list: &str) -> bool {
    symbols(list).any(|it| it.address != 0)
}

/// The symbols in it; a line that is none is left out.
pub(crate) fn symbols(list: &str) -> impl Iterator<Item = Symbol<'_>> {
    list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(Symbol {
            address: u64::from_str_radix(words.next()?, 16).ok()?,
            kind: words.next()?,
            name: words.next()?,
            module: words.next().map(|it| it.trim_matches(['[', ']'])),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_all_zero_are_hidden() {
        let hidden = "0000000000000000 A fixed\n0000000000000000 T first\n";
        assert!(!has_addresses(hidden));
        assert!(!has_addresses(""));
        assert!(has_addresses(&format!(
            "{hidden}ffffffff81000000 T second\n"
        )));
    }
}
