//! The kernel's list of symbols where `/proc/kallsyms` hides addresses (`kernel.kptr_restrict`): printed
//! by a program for the iterator over symbols (Linux 6.0), in the form of that list.

use std::{fs::File, io};

use super::{facts::KernelBtf, sys::bpf};

const ITERATOR: &str = "bpf_iter_ksym";

/// What the iterator hands to the program.
const SYMBOL: &str = "kallsym_iter";

/// Has the list printed as it is read.
pub(crate) fn print(btf: &KernelBtf) -> io::Result<File> {
    let member = |name| {
        let offset = btf.offset(SYMBOL, name).map_err(io::Error::other)?;
        offset.ok_or_else(|| io::Error::other(format!("its {SYMBOL} has no {name}")))
    };
    let iterator = btf.function_id(ITERATOR);
    let iterator = iterator.ok_or_else(|| io::Error::other("it has no iterator over symbols"))?;
    let members = [
        member("value")?,
        member("type")?,
        member("name")?,
        member("module_name")?,
    ];
    let program = bpf::load_iterator(&printing(members), iterator)?;
    let link = bpf::link_iterator(&program)?;
    bpf::iterate(&link).map(File::from)
}

/// `seq_printf(context->meta->seq, "%lx %c %s %s\n", symbol->value, symbol->type, symbol->name,
/// symbol->module_name)`
fn printing([value, kind, name, module]: [u32; 4]) -> [u64; 29] {
    let low = |it: u32| u64::from(it) << 16;
    let high = |it: u32| u64::from(it) << 32;
    [
        // r6 = context->meta; r7 = context->symbol; if r7 == 0 goto the end
        0x1679,
        0x0008_1779,
        0x0018_0715,
        // The values, from r10 - 48 on: address and kind, then where the two names are.
        0x7179 | low(value),
        0xffd0_1a7b,
        0x7171 | low(kind),
        0xffd8_1a7b,
        0x71bf,
        0x0107 | high(name),
        0xffe0_1a7b,
        0x71bf,
        0x0107 | high(module),
        0xffe8_1a7b,
        // The format, from r10 - 16 on: `%lx %c %`, `s %s\n`.
        0x2078_6c25_0000_0118,
        0x2520_6325_0000_0000,
        0xfff0_1a7b,
        0x7325_2073_0000_0118,
        0x0000_000a_0000_0000,
        0xfff8_1a7b,
        // bpf_seq_printf(meta->seq, format, 14, values, 32)
        0x6179,
        0xa2bf,
        0xffff_fff0_0000_0207,
        0x0000_000e_0000_03b7,
        0xa4bf,
        0xffff_ffd0_0000_0407,
        0x0000_0020_0000_05b7,
        0x0000_007e_0000_0085,
        // The end: r0 = 0; exit
        0x00b7,
        0x0095,
    ]
}
