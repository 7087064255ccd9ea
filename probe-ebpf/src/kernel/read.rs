//! Reading kernel memory at an address that may be any.

use aya_ebpf::helpers;
use probe_abi::ABSENT;

use crate::kernel::typed::Typed;

/// Reads a `T`.
#[inline(always)]
pub(crate) fn read_kernel<T: Copy>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { helpers::bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads a word that is not 0, as a pointer or a return address, at an aligned place.
#[inline(always)]
pub(crate) fn read_word(address: u64) -> Option<u64> {
    // The agent has tried that a page begins with a word, its flags.
    match Typed::page_at(address) {
        Some(page) => Some(page.first()).filter(|it| *it != 0),
        None => read_kernel(address),
    }
}

/// Reads 32 bits; 0 where that fails, as the helper promises.
#[inline(always)]
pub(crate) fn read_u32(address: u64) -> u32 {
    read_kernel(address).unwrap_or(0)
}

/// A member of what is at an address; `None` for one that the kernel lacks.
#[inline(always)]
pub(crate) fn member<T: Copy>(address: u64, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    read_kernel(address.wrapping_add(u64::from(offset)))
}
