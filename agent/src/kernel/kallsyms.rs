//! The kernel's list of its functions and data, with their addresses.

use std::{fs, io};

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
