//! The addresses of names, one by one: to ask the kernel for a hundred costs it less than a hundredth
//! of what its list does. By a program, in the machine's own code, that calls the kernel's search.
//! Leaves out kernels whose search goes through the list at each name, and those that hide addresses.

use std::{io, ops::Range, os::fd::OwnedFd};

use aya_obj::generated::bpf_func_id;

use super::{
    facts::KernelBtf,
    instructions::{
        R0, R1, R2, R3, R4, R6, STACK, add, call, copy, exit, load, negate, set, store,
        store_number,
    },
    sys::bpf,
};

/// The search by halves (Linux 6.2).
const SEARCH: &str = "kallsyms_lookup_names";

/// The bounds of the kernel itself.
const IMAGE: [&str; 2] = ["_text", "_end"];

/// Bytes for a name and its end. What the program is run on is these, and behind them the address.
const NAME: i16 = 64;
const WORDS: usize = NAME as usize / size_of::<u64>();

/// `return -kallsyms_lookup_name(name, 64, 0, &address)`, both on the stack, where the kernel takes them:
/// the name is copied there, and the address from there.
fn looking_up() -> Vec<u64> {
    const ADDRESS_AT: i16 = -8;
    const NAME_AT: i16 = ADDRESS_AT - NAME;
    let mut program = vec![copy(R6, R1)];
    for at in (0..NAME).step_by(size_of::<u64>()) {
        program.extend([load(R1, R6, at), store(STACK, NAME_AT + at, R1)]);
    }
    program.extend([
        store_number(STACK, ADDRESS_AT, 0),
        copy(R1, STACK),
        add(R1, NAME_AT.into()),
        set(R2, NAME.into()),
        set(R3, 0),
        copy(R4, STACK),
        add(R4, ADDRESS_AT.into()),
        call(bpf_func_id::BPF_FUNC_kallsyms_lookup_name),
        load(R1, STACK, ADDRESS_AT),
        store(R6, NAME, R1),
        // An error as a number above 0.
        negate(R0),
        exit(),
    ]);
    program
}

/// Whom to ask.
pub(super) struct Lookup {
    program: OwnedFd,
    image: Range<u64>,
}

impl Lookup {
    /// Fails where it cannot be asked, or is better not.
    pub(super) fn prepare(btf: &KernelBtf) -> io::Result<Self> {
        btf.function_id(SEARCH)
            .ok_or_else(|| io::Error::other("it would go through its list for each name"))?;
        let mut this = Self {
            program: bpf::load_to_run(&looking_up())?,
            image: 0..0,
        };
        let bound = |name| {
            let found = this.find(name)?;
            found.ok_or_else(|| io::Error::other(format!("it has no {name}")))
        };
        this.image = bound(IMAGE[0])?..bound(IMAGE[1])?;
        Ok(this)
    }

    /// The address of a symbol of the kernel itself, if it has one.
    pub(super) fn address(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.find(name)?.filter(|it| self.is_of_the_kernel(*it)))
    }

    /// A module's symbol may bear the name. What each CPU has for itself is at a small number.
    fn is_of_the_kernel(&self, address: u64) -> bool {
        self.image.contains(&address) || address >> 63 == 0
    }

    fn find(&self, name: &str) -> io::Result<Option<u64>> {
        let mut words = words_of(name)?;
        match bpf::run_on(&self.program, &mut words)?.cast_signed() {
            0 => Ok(Some(words[WORDS])),
            libc::ENOENT => Ok(None),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// What the program is run on.
fn words_of(name: &str) -> io::Result<[u64; WORDS + 1]> {
    let mut words = [0; WORDS + 1];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words[..WORDS]);
    let Some((place, [_, ..])) = bytes.split_at_mut_checked(name.len()) else {
        return Err(io::Error::other(format!("{name} is too long to ask for")));
    };
    place.copy_from_slice(name.as_bytes());
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_with_its_end() {
        let words = words_of("mem_section").unwrap();
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        assert_eq!(bytes[..12], *b"mem_section\0");
        assert!(bytes[12..].iter().all(|it| *it == 0));
        assert!(words_of(&"n".repeat(63)).is_ok());
        assert!(words_of(&"n".repeat(64)).is_err());
    }

    #[test]
    fn a_name_is_copied_whole_before_it_is_asked_for() {
        let program = looking_up();
        let call = call(bpf_func_id::BPF_FUNC_kallsyms_lookup_name);
        let before = program.iter().take_while(|it| **it != call);
        let copied = before.filter(|it| (0..NAME).any(|at| **it == load(R1, R6, at)));
        assert_eq!(copied.count(), WORDS);
    }
}
