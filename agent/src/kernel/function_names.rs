//! The functions that addresses lie in, as the kernel says when it is asked: also where
//! `/proc/kallsyms` hides addresses (`kernel.kptr_restrict`). A program prints each value of an
//! array by the format of a backtrace. Leaves out the address of a name.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
};

use aya_obj::generated::bpf_func_id;

use super::{
    facts::KernelBtf,
    instructions::{
        R0, R1, R2, R3, R4, R5, R6, R7, STACK, add, call, copy, exit, load, set, skip_if_zero,
        store,
    },
    maps::Shared,
    sys::bpf,
};

/// Addresses that are printed at once.
const AT_ONCE: usize = 256;

/// The kernel's iterator over the elements of a map, if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapIterator(Option<u32>);

impl MapIterator {
    pub(crate) fn find(btf: &KernelBtf) -> Self {
        Self(btf.function_id("bpf_iter_bpf_map_elem"))
    }
}

/// `seq_printf(context->meta->seq, "%pB\n", *context->value)`
const PRINT: [u64; 14] = [
    // After the last element there is no value.
    load(R6, R1, 0),
    load(R7, R1, 24),
    skip_if_zero(R7, 9),
    load(R1, R6, 0),
    set(R2, i32::from_le_bytes(*b"%pB\n")),
    store(STACK, -8, R2),
    copy(R2, STACK),
    add(R2, -8),
    set(R3, 5),
    copy(R4, R7),
    set(R5, size_of::<u64>() as i32),
    call(bpf_func_id::BPF_FUNC_seq_printf),
    // The end.
    set(R0, 0),
    exit(),
];

/// A function, and the module that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) function: String,
    pub(crate) module: Option<String>,
}

/// Who can be asked.
pub(crate) struct FunctionNames {
    addresses: Shared,
    link: OwnedFd,
}

impl FunctionNames {
    /// Prepares to ask by an iterator of the kernel. Fails where there is none, or the program is
    /// refused.
    pub(crate) fn by(iterator: MapIterator) -> io::Result<Self> {
        let iterator = iterator.0;
        let iterator = iterator.ok_or_else(|| io::Error::other("it has no iterator over maps"))?;
        let map = bpf::create_words(AT_ONCE as u32)?;
        let program = bpf::load_iterator(&PRINT, iterator)?;
        Ok(Self {
            addresses: Shared::of(&map, AT_ONCE * size_of::<u64>())?,
            link: bpf::link_map_iterator(&program, &map)?,
        })
    }

    /// The function of each; `None` for what is in none.
    pub(crate) fn of(&self, addresses: &[u64]) -> io::Result<Vec<Option<Named>>> {
        self.print(addresses, named)
    }

    /// Bytes of the function that each is in.
    pub(super) fn sizes(&self, addresses: &[u64]) -> io::Result<Vec<Option<u64>>> {
        self.print(addresses, size)
    }

    fn print<T>(&self, addresses: &[u64], read: impl Fn(&str) -> T) -> io::Result<Vec<T>> {
        let mut all = Vec::with_capacity(addresses.len());
        for part in addresses.chunks(AT_ONCE) {
            for (index, address) in part.iter().enumerate() {
                // A backtrace has return addresses: the kernel looks at the byte before.
                let after = address.wrapping_add(1);
                self.addresses.write(index * size_of::<u64>(), &after);
            }
            let mut text = Vec::new();
            File::from(bpf::iterate(&self.link)?).read_to_end(&mut text)?;
            let text = String::from_utf8_lossy(&text);
            let mut lines = text.lines();
            for _ in part {
                let line = lines
                    .next()
                    .ok_or_else(|| io::Error::other("it answers less than it is asked"))?;
                all.push(read(line));
            }
        }
        Ok(all)
    }
}

/// `function+0x1/0x20 [module]`; where there is none, the address as a number.
fn named(line: &str) -> Option<Named> {
    let (place, module) = match line.split_once(" [") {
        Some((place, module)) => (place, module.strip_suffix(']')),
        None => (line, None),
    };
    let (function, _) = place.rsplit_once('+')?;
    let bpf = is_of_bpf(function).then_some("bpf");
    Some(Named {
        function: function.to_owned(),
        module: module.or(bpf).map(str::to_owned),
    })
}

/// As above.
fn size(line: &str) -> Option<u64> {
    let (_, size) = line.split(' ').next()?.rsplit_once("/0x")?;
    u64::from_str_radix(size, 16).ok()
}

/// Whether it is a program or a trampoline, which are in no module here and in `bpf` in the list.
fn is_of_bpf(function: &str) -> bool {
    let is_hex = |it: &str| it.len() >= 16 && it.bytes().take(16).all(|it| it.is_ascii_hexdigit());
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    function.strip_prefix("bpf_prog_").is_some_and(is_hex)
        || function
            .strip_prefix("bpf_trampoline_")
            .is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, module: Option<&str>) -> Option<Named> {
        Some(Named {
            function: function.to_owned(),
            module: module.map(str::to_owned),
        })
    }

    #[test]
    fn a_line_of_a_backtrace_is_a_function_and_its_module() {
        assert_eq!(
            named("io_pin_pages.isra.0+0x4f/0x120"),
            frame("io_pin_pages.isra.0", None)
        );
        assert_eq!(
            named("ib_umem_get+0x1/0x2 [ib_uverbs]"),
            frame("ib_umem_get", Some("ib_uverbs"))
        );
        for of_nothing in ["0xffffffff81000000", ""] {
            assert_eq!((named(of_nothing), size(of_nothing)), (None, None));
        }
        assert_eq!(size("io_pin_pages.isra.0+0x4f/0x120"), Some(0x120));
        assert_eq!(size("ib_umem_get+0x1/0x2 [ib_uverbs]"), Some(2));
    }

    #[test]
    fn programs_and_trampolines_are_of_the_module_that_the_list_has_for_them() {
        assert_eq!(
            named("bpf_prog_6deef7357e7b4530_fexit+0x9/0x40"),
            frame("bpf_prog_6deef7357e7b4530_fexit", Some("bpf"))
        );
        assert_eq!(
            named("bpf_trampoline_6442489857+0x47/0x1000"),
            frame("bpf_trampoline_6442489857", Some("bpf"))
        );
        let kernels = "bpf_prog_test_run_raw_tp";
        assert_eq!(named(&format!("{kernels}+0x1/0x2")), frame(kernels, None));
    }

    #[test]
    fn fuzz_backtrace() {
        crate::fuzz::bytes(&[b"pin_user_pages+0x1/0x20 [mod]", b"0xffffffff"], |it| {
            let line = String::from_utf8_lossy(it);
            drop((named(&line), size(&line)));
        });
    }
}
