//! Which function an address of the kernel belongs to.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use serde::Serialize;

use crate::kernel::{
    function_names::FunctionNames,
    kallsyms::{self, Symbol},
};

/// A place in the kernel's code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct Frame {
    pub(crate) function: String,
    /// The module that it is in, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<String>,
}

/// The kernel's functions by address. Names lie in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    /// Address, and where its line begins in `names`; in order of addresses.
    functions: Vec<(u64, u32)>,
    /// `name` or `name\tmodule`, each ended by a line feed.
    names: String,
    /// Where addresses are hidden, what the kernel calls those that it was asked for.
    asked: HashMap<u64, Option<Frame>>,
}

impl Symbols {
    /// Reads the kernel's list. Takes some tens of milliseconds.
    pub(crate) fn read() -> io::Result<Self> {
        Self::of(kallsyms::open()?)
    }

    /// Has the kernel name these, without its list.
    pub(crate) fn ask(addresses: &[u64], kernel: &FunctionNames) -> io::Result<Self> {
        let named = kernel.of(addresses)?.into_iter().map(|it| {
            it.map(|it| Frame {
                function: it.function,
                module: it.module,
            })
        });
        Ok(Self {
            asked: addresses.iter().copied().zip(named).collect(),
            ..Self::default()
        })
    }

    fn of(list: impl Read) -> io::Result<Self> {
        let mut symbols = Self::default();
        kallsyms::for_each(list, |symbol| symbols.add(&symbol))?;
        symbols.functions.sort_unstable();
        symbols.functions.shrink_to_fit();
        symbols.names.shrink_to_fit();
        Ok(symbols)
    }

    fn add(&mut self, symbol: &Symbol<'_>) {
        // Code only; where addresses are hidden they read as zero.
        if !["t", "T", "w", "W"].contains(&symbol.kind) || symbol.address == 0 {
            return;
        }
        let Ok(at) = u32::try_from(self.names.len()) else {
            return;
        };
        self.functions.push((symbol.address, at));
        self.names.push_str(symbol.name);
        if let Some(module) = symbol.module {
            self.names.push('\t');
            self.names.push_str(module);
        }
        self.names.push('\n');
    }

    /// Whether it can be told what all of these are, be it nothing. Of a path of which only the outer
    /// part was asked for before, half would be told, and that might be another subsystem's.
    pub(crate) fn cover(&self, addresses: &[u64]) -> bool {
        let is_asked = |it| self.asked.contains_key(it);
        !self.functions.is_empty() || addresses.iter().all(is_asked)
    }

    /// The function that an address lies in, unless it is beyond all of them.
    pub(crate) fn frame(&self, address: u64) -> Option<Frame> {
        /// No function is longer; an address further on is in no function listed.
        const LONGEST: u64 = 1 << 20;
        if let Some(known) = self.asked.get(&address) {
            return known.clone();
        }
        let next = self.functions.partition_point(|it| it.0 <= address);
        let (start, at) = *self.functions.get(next.checked_sub(1)?)?;
        if address - start > LONGEST {
            return None;
        }
        let line = self.names[at as usize..].lines().next()?;
        let (function, module) = match line.split_once('\t') {
            Some((function, module)) => (function, Some(module.to_owned())),
            None => (line, None),
        };
        Some(Frame {
            function: function.to_owned(),
            module,
        })
    }
}

/// Where a function returns to that has a kretprobe, instead of to its caller.
const RETURN_TRAMPOLINES: [&str; 3] = [
    "arch_rethook_trampoline",
    "__kretprobe_trampoline",
    "kretprobe_trampoline",
];

/// Index of the first frame outside of a function that a probe is at: further in
/// lie the function, the probe and what calls it. Where a trampoline calls the
/// function (Linux 7.3), that is no longer on the stack when the probe is.
pub(crate) fn outside_of(called: &str, frames: &[Option<Frame>]) -> usize {
    let is_last_inside =
        |it: &Frame| it.function == called || RETURN_TRAMPOLINES.contains(&it.function.as_str());
    let is_bpf = |it: &Frame| it.module.as_deref() == Some("bpf");
    let probe = frames
        .iter()
        .take_while(|it| it.as_ref().is_some_and(is_bpf))
        .count();
    frames
        .iter()
        .position(|it| it.as_ref().is_some_and(is_last_inside))
        .map_or(probe, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T first
ffffffff81000100 t second.isra.0
ffffffff81000200 D data
ffffffffc0000000 t in_module\t[mod]
";

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let symbols = Symbols::of(TEXT.as_bytes()).unwrap();
        let name = |address| symbols.frame(address).map(|it| it.function);
        assert_eq!(name(0xffff_ffff_8100_0000).as_deref(), Some("first"));
        assert_eq!(name(0xffff_ffff_8100_00ff).as_deref(), Some("first"));
        assert_eq!(
            name(0xffff_ffff_8100_0210).as_deref(),
            Some("second.isra.0")
        );
        assert_eq!(name(0xffff_ffff_80ff_ffff), None);
        assert_eq!(name(0xffff_ffff_9000_0000), None);
    }

    #[test]
    fn a_path_is_known_when_all_of_it_was_asked_for() {
        let symbols = Symbols {
            asked: HashMap::from([(1, None), (2, None)]),
            ..Symbols::default()
        };
        assert!(symbols.cover(&[1, 2]) && !symbols.cover(&[1, 3]));
        assert!(Symbols::of(TEXT.as_bytes()).unwrap().cover(&[1, 3]));
        assert!(!Symbols::default().cover(&[1]));
    }

    #[test]
    fn a_module_is_named() {
        let frame = Symbols::of(TEXT.as_bytes())
            .unwrap()
            .frame(0xffff_ffff_c000_0010)
            .unwrap();
        assert_eq!(frame.module.as_deref(), Some("mod"));
    }

    #[test]
    fn a_call_path_begins_at_the_caller_wherever_the_probe_is() {
        let path = |functions: &[&str]| -> Vec<Option<Frame>> {
            let frame = |it: &&str| {
                (*it != "?").then(|| Frame {
                    function: (*it).to_owned(),
                    module: it.starts_with("bpf_").then(|| "bpf".to_owned()),
                })
            };
            functions.iter().map(frame).collect()
        };
        let of = |functions: &[&str]| outside_of("pin_user_pages", &path(functions));
        assert_eq!(of(&["?", "?", "pin_user_pages", "caller"]), 3, "fexit");
        assert_eq!(of(&["pin_user_pages", "caller"]), 1, "a kprobe");
        assert_eq!(of(&["arch_rethook_trampoline", "caller"]), 1, "a kretprobe");
        let without_it = ["bpf_prog_1", "bpf_trampoline_1", "caller", "bpf_prog_2"];
        assert_eq!(of(&without_it), 2, "fexit on Linux 7.3");
        assert_eq!(of(&["caller"]), 0);
    }

    #[test]
    fn hidden_addresses_name_nothing() {
        let symbols = Symbols::of(&b"0000000000000000 T first\n"[..]).unwrap();
        assert_eq!(symbols.frame(0), None);
    }
}
