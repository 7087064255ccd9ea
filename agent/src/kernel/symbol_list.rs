//! The kernel's list of symbols where `/proc/kallsyms` hides addresses (`kernel.kptr_restrict`) or cannot
//! be read: printed by a program for the iterator over symbols (Linux 6.0), in the form of that list.

use std::{fs::File, io};

use aya_obj::generated::bpf_func_id;

use super::{
    facts::KernelBtf,
    instructions::{
        R0, R1, R2, R3, R4, R5, R6, R7, STACK, add, call, copy, exit, load, load_8, set, set_long,
        skip_if_zero, store,
    },
    sys::bpf,
};

const ITERATOR: &str = "bpf_iter_ksym";

/// What the iterator hands to the program.
const SYMBOL: &str = "kallsym_iter";

/// Has the list printed as it is read.
pub(crate) fn print(btf: &KernelBtf) -> io::Result<File> {
    let member = |name| {
        let offset = btf.offset(SYMBOL, name).map_err(io::Error::other)?;
        let offset = offset.and_then(|it| i16::try_from(it).ok());
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
fn printing([value, kind, name, module]: [i16; 4]) -> Vec<u64> {
    /// Of the format with its end, and of the values.
    const BYTES: (i32, i32) = (14, 32);
    let [begin, rest] = [b"%lx %c %", b"s %s\n\0\0\0"].map(|it| u64::from_le_bytes(*it));
    let mut program = vec![
        load(R6, R1, 0),
        load(R7, R1, 8),
        // After the last symbol there is none.
        skip_if_zero(R7, 24),
        load(R1, R7, value),
        store(STACK, -48, R1),
        load_8(R1, R7, kind),
        store(STACK, -40, R1),
        copy(R1, R7),
        add(R1, name.into()),
        store(STACK, -32, R1),
        copy(R1, R7),
        add(R1, module.into()),
        store(STACK, -24, R1),
    ];
    program.extend(set_long(R1, begin));
    program.push(store(STACK, -16, R1));
    program.extend(set_long(R1, rest));
    program.extend([
        store(STACK, -8, R1),
        load(R1, R6, 0),
        copy(R2, STACK),
        add(R2, -16),
        set(R3, BYTES.0),
        copy(R4, STACK),
        add(R4, -48),
        set(R5, BYTES.1),
        call(bpf_func_id::BPF_FUNC_seq_printf),
        // The end.
        set(R0, 0),
        exit(),
    ]);
    program
}
