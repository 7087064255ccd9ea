//! Symbols and their addresses, and which functions ftrace can hook.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use hooks::Range;

use log::debug;

use super::btf::KernelBtf;
use crate::{
    error::AgentError,
    kernel::{
        kallsyms::{self, Symbol},
        symbol_list,
    },
};

/// Where tracefs may be mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

const BLACKLIST: &str = "/sys/kernel/debug/kprobes/blacklist";

/// Address ranges of the named functions and data. Where addresses are hidden from the caller, the
/// kernel is asked for the list in another way; empty (they read as zero) where that fails, too.
pub(crate) fn addresses(
    functions: &[&str],
    data: &[&str],
    btf: &KernelBtf,
) -> Result<BTreeMap<String, Range>, AgentError> {
    let mut text = kallsyms::read().map_err(|source| AgentError::Read {
        path: PathBuf::from(kallsyms::PATH),
        source,
    })?;
    if !kallsyms::has_addresses(&text) {
        match symbol_list::read(btf) {
            Ok(list) => text = list,
            Err(error) => debug!("addresses are hidden, and not printed either: {error}"),
        }
    }
    Ok(ranges(&text, functions, data))
}

fn ranges(text: &str, functions: &[&str], data: &[&str]) -> BTreeMap<String, Range> {
    let wanted: BTreeSet<&str> = functions.iter().chain(data).copied().collect();
    let mut addresses = Vec::new();
    let mut found = BTreeMap::new();
    // A module's symbol may bear the name of one of the kernel's own.
    for symbol in kallsyms::symbols(text).filter(|it| it.module.is_none()) {
        let Symbol { address, name, .. } = symbol;
        addresses.push(address);
        if wanted.contains(name) {
            found.insert(
                name.to_owned(),
                Range {
                    start: address,
                    end: address,
                },
            );
        }
    }
    addresses.sort_unstable();
    for range in found.values_mut() {
        let next = addresses.partition_point(|it| *it <= range.start);
        range.end = addresses.get(next).copied().unwrap_or(range.start);
    }
    found
}

/// The function that this is a part of, going by its name. The compiler splits one
/// so that callers may inline its beginning (`.part`), and passes all arguments
/// on; where it leaves some out as well, another suffix follows (`.isra`,
/// `.constprop`), and nothing is known of them.
pub(crate) fn whole(name: &str) -> Option<&str> {
    let (whole, number) = name.split_once(".part.")?;
    number.parse::<u32>().is_ok().then_some(whole)
}

/// Where tracefs is mounted.
pub(crate) fn tracefs() -> Option<&'static Path> {
    let mut places = TRACEFS.iter().map(Path::new);
    places.find(|it| it.join("kprobe_events").exists())
}

/// Why the list of functions that ftrace can hook cannot be read, if it cannot.
pub(crate) fn untraceable() -> Option<io::Error> {
    let read = |at: &&str| fs::read(list_at(at));
    let errors: Result<Vec<_>, ()> = TRACEFS.iter().map(|at| read(at).err().ok_or(())).collect();
    let mut errors = errors.ok()?;
    // One that was found and is not shown says more than one that was not.
    errors.sort_by_key(|it| it.kind() == io::ErrorKind::NotFound);
    errors.into_iter().next()
}

fn list_at(tracefs: &str) -> String {
    format!("{tracefs}/available_filter_functions")
}

/// Functions that ftrace can hook, `None` where the list cannot be read.
pub(crate) fn traceable() -> Option<BTreeSet<String>> {
    let text = TRACEFS
        .iter()
        .find_map(|at| fs::read_to_string(list_at(at)).ok())?;
    // `name [module]`: those of modules are not ours.
    Some(
        text.lines()
            .filter(|line| !line.contains(' '))
            .map(str::to_owned)
            .collect(),
    )
}

/// Functions that the kernel forbids kprobes on; empty where the list cannot be read.
pub(crate) fn kprobe_blacklist() -> BTreeSet<String> {
    let text = fs::read_to_string(BLACKLIST).unwrap_or_default();
    // `0xffff…-0xffff…	name`
    text.lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_ends_where_the_next_symbol_begins() {
        let text = "ffff000000000010 T late\nffff000000000000 T early\nffff000000000008 t mid\n";
        let found = ranges(text, &["early", "late"], &[]);
        assert_eq!(
            found["early"],
            Range {
                start: 0xffff_0000_0000_0000,
                end: 0xffff_0000_0000_0008
            }
        );
        assert_eq!(found["late"].start, found["late"].end);
    }

    #[test]
    fn only_a_part_with_all_arguments_is_taken_for_one() {
        assert_eq!(whole("release.part.0"), Some("release"));
        for name in ["release", "release.isra.0", "release.part.0.isra.0"] {
            assert_eq!(whole(name), None, "{name}");
        }
    }

    #[test]
    fn a_symbol_of_a_module_is_not_the_kernels() {
        assert!(ranges("ffff000000000010 t early\t[mod]\n", &["early"], &[]).is_empty());
    }
}
