//! The addresses of names, one by one: to ask the kernel for a hundred costs it less than a hundredth
//! of what its list does. By a program, in the machine's own code, that calls the kernel's search.
//! Leaves out kernels whose search goes through the list at each name, and those that hide addresses.

use std::{io, ops::Range, os::fd::OwnedFd};

use super::{facts::KernelBtf, sys::bpf};

/// The search by halves (Linux 6.2).
const SEARCH: &str = "kallsyms_lookup_names";

/// The bounds of the kernel itself.
const IMAGE: [&str; 2] = ["_text", "_end"];

/// Words for a name and its end. What the program is run on is these, and behind them the address.
const NAME: usize = 8;
const BYTES: usize = NAME * size_of::<u64>();

/// `name = words[..8]; return -kallsyms_lookup_name(name, 64, 0, &words[8])`, the name and the address
/// on the stack, where the kernel takes them.
fn looking_up() -> Vec<u64> {
    let mut program = vec![0x16bf];
    // r10 - 72: the name; r1 = words[n]; name[n] = r1.
    for at in (0..BYTES as i16).step_by(size_of::<u64>()) {
        let offset = |it: i16| u64::from(it.cast_unsigned()) << 16;
        program.extend([0x6179 | offset(at), 0x1a7b | offset(at - 72)]);
    }
    program.extend([
        0xfff8_0a7a,
        0xa1bf,
        0xffff_ffb8_0000_0107,
        (BYTES as u64) << 32 | 0x02b7,
        0x03b7,
        0xa4bf,
        0xffff_fff8_0000_0407,
        0x0000_00b3_0000_0085,
        // words[8] = the address; r0 = -r0, an error as a number above 0; exit
        0xfff8_a179,
        0x0040_167b,
        0x0087,
        0x0095,
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
        let mut words = [0; NAME + 1];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        match bytes.get_mut(..name.len()) {
            Some(place) if name.len() < BYTES => place.copy_from_slice(name.as_bytes()),
            Some(_) | None => return Ok(None),
        }
        match bpf::run_on(&self.program, &mut words)?.cast_signed() {
            0 => Ok(Some(words[NAME])),
            libc::ENOENT => Ok(None),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}
