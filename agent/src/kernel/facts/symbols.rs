//! Symbols and their addresses, and which functions ftrace can hook.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use hooks::Range;

use log::debug;

use super::btf::KernelBtf;
use crate::{
    error::AgentError,
    kernel::{
        function_names::{FunctionNames, MapIterator},
        kallsyms, lines, symbol_list,
        symbol_lookup::Lookup,
    },
};

/// Where tracefs may be mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

const BLACKLIST: &str = "/sys/kernel/debug/kprobes/blacklist";

/// Address ranges of the named functions; of data, where it begins. Where the kernel cannot be asked for
/// each, its list is read; where that hides addresses from the caller or cannot be read, the kernel is
/// asked for it in another way. Where that fails too, hidden addresses read as zero.
pub(crate) fn addresses(
    functions: &[&str],
    data: &[&str],
    btf: &KernelBtf,
) -> Result<BTreeMap<String, Range>, AgentError> {
    match asked(functions, data, btf) {
        Ok(ranges) => return Ok(ranges),
        Err(error) => debug!("the kernel's list of symbols is read: {error}"),
    }
    let wanted = || functions.iter().chain(data).copied();
    let shown = kallsyms::open().and_then(|list| Addresses::read(list, wanted()));
    let list = match shown {
        Ok(list) if !list.are_hidden() => list,
        shown => match symbol_list::print(btf).and_then(|list| Addresses::read(list, wanted())) {
            Ok(printed) => printed,
            Err(error) => {
                debug!("addresses are not shown, and not printed either: {error}");
                shown.map_err(|source| AgentError::Read {
                    path: PathBuf::from(kallsyms::PATH),
                    source,
                })?
            }
        },
    };
    Ok(list.ranges(functions))
}

/// The same, asked of the kernel one by one.
fn asked(
    functions: &[&str],
    data: &[&str],
    btf: &KernelBtf,
) -> io::Result<BTreeMap<String, Range>> {
    let lookup = Lookup::prepare(btf)?;
    let mut ranges = BTreeMap::new();
    for name in functions.iter().chain(data) {
        if let Some(start) = lookup.address(name)? {
            ranges.insert((*name).to_owned(), Range { start, end: start });
        }
    }
    let mut of_functions: Vec<_> = ranges
        .iter_mut()
        .filter(|(name, _)| functions.contains(&name.as_str()))
        .map(|(_, range)| range)
        .collect();
    let starts: Vec<_> = of_functions.iter().map(|it| it.start).collect();
    let sizes = FunctionNames::by(MapIterator::find(btf))?.sizes(&starts)?;
    for (range, size) in of_functions.iter_mut().zip(sizes) {
        let size =
            size.ok_or_else(|| io::Error::other("it does not tell where a function ends"))?;
        range.end += size;
    }
    Ok(ranges)
}

/// What a list of symbols says.
struct Addresses {
    /// Of all symbols: one ends where the next begins.
    all: Vec<u64>,
    /// Of those that are wanted.
    found: BTreeMap<String, u64>,
}

impl Addresses {
    fn read<'a>(list: impl Read, wanted: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let wanted: HashSet<_, foldhash::fast::RandomState> = wanted.collect();
        let (mut all, mut found) = (Vec::new(), BTreeMap::new());
        kallsyms::for_each(list, |symbol| {
            // A module's symbol may bear the name of one of the kernel's own.
            if symbol.module.is_some() {
                return;
            }
            all.push(symbol.address);
            // Of several with this name the first, which is also the one that is hooked by name.
            if wanted.contains(symbol.name) && !found.contains_key(symbol.name) {
                found.insert(symbol.name.to_owned(), symbol.address);
            }
        })?;
        all.sort_unstable();
        Ok(Self { all, found })
    }

    fn are_hidden(&self) -> bool {
        self.all.last().is_none_or(|it| *it == 0)
    }

    fn ranges(&self, functions: &[&str]) -> BTreeMap<String, Range> {
        let end = |start: u64| {
            let next = self.all.partition_point(|it| *it <= start);
            self.all.get(next).copied().unwrap_or(start)
        };
        let range = |(name, start): (&String, &u64)| {
            let start = *start;
            let end = match functions.contains(&name.as_str()) {
                true => end(start),
                false => start,
            };
            (name.clone(), Range { start, end })
        };
        self.found.iter().map(range).collect()
    }
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

/// Which of these functions ftrace can hook, `None` where its list cannot be read.
pub(crate) fn traceable(functions: &[&str]) -> Option<BTreeSet<String>> {
    let list = TRACEFS.iter().find_map(|at| File::open(list_at(at)).ok())?;
    let wanted: HashMap<_, _> = functions.iter().map(|it| (it.as_bytes(), *it)).collect();
    let mut traceable = BTreeSet::new();
    // `name [module]`: those of modules are not ours.
    lines::for_each(list, |line| {
        traceable.extend(wanted.get(line).map(|it| (*it).to_owned()));
    })
    .ok()?;
    Some(traceable)
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

    fn read(list: &str, wanted: &[&'static str]) -> Addresses {
        Addresses::read(list.as_bytes(), wanted.iter().copied()).unwrap()
    }

    #[test]
    fn a_function_ends_where_the_next_symbol_begins() {
        let text = "ffff000000000010 T late\nffff000000000000 T early\nffff000000000008 d mid\n";
        let found = read(text, &["early", "mid", "late"]).ranges(&["early", "late"]);
        assert_eq!(
            found["early"],
            Range {
                start: 0xffff_0000_0000_0000,
                end: 0xffff_0000_0000_0008
            }
        );
        for it in ["mid", "late"] {
            assert_eq!(found[it].start, found[it].end);
        }
    }

    #[test]
    fn of_several_symbols_with_a_name_the_first_counts() {
        let found = read("8 t walk\n10 t other\n18 t walk\n", &["walk"]);
        assert_eq!(found.ranges(&["walk"])["walk"], Range { start: 8, end: 16 });
    }

    #[test]
    fn addresses_that_are_all_zero_are_hidden() {
        let hidden = "0000000000000000 A fixed\n0000000000000000 T first\n";
        assert!(read(hidden, &[]).are_hidden());
        assert!(read("", &[]).are_hidden());
        let shown = format!("{hidden}ffffffff81000000 T second\n");
        assert!(!read(&shown, &[]).are_hidden());
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
        let found = read("ffff000000000010 t early\t[mod]\n", &["early"]);
        assert!(found.ranges(&["early"]).is_empty());
    }
}
