//! Pointers whose type the verifier knows: what lies behind one is a load, where
//! any other address takes a call of a helper that costs a hundred instructions.
//!
//! Of such a pointer every load must be of a whole member, at an offset that the
//! verifier knows, and no arithmetic is allowed beyond that. A load that fails
//! reads as 0.

#[cfg(not(feature = "baseline"))]
use core::arch::asm;

use aya_ebpf::{EbpfContext, programs::FEntryContext};
#[cfg(not(feature = "baseline"))]
use probe_abi::CAST_CALL;

#[cfg(not(feature = "baseline"))]
use crate::kernel::layout::layout;
use crate::verifier::unknown::number;

/// A kernel object.
#[derive(Clone, Copy)]
pub(crate) struct Typed(*const u8);

impl Typed {
    /// What a helper returned.
    ///
    /// # Safety
    ///
    /// The verifier must know its type, and that it is not null.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) unsafe fn known(pointer: *const u8) -> Self {
        Self(pointer)
    }

    /// Argument `n` of the traced function, which must be a pointer to a structure.
    #[inline(always)]
    pub(crate) fn arg(ctx: &FEntryContext, n: usize) -> Self {
        // SAFETY: the context is an array of the arguments; the verifier checks
        // that there are as many.
        Self(unsafe { ctx.as_ptr().cast::<*const u8>().add(n).read_volatile() })
    }

    /// Whatever is at an address of the kernel, as if it were a `struct page`: by
    /// `bpf_rdonly_cast()` (Linux 6.2), which costs nothing. `None` where the kernel
    /// has no such.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) fn page_at(address: u64) -> Option<Self> {
        match layout!(page_type) {
            0 => None,
            page => Some(Self::as_type(address, page)),
        }
    }

    /// The same, for a loop that has got the type of a page before.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) fn as_type(address: u64, page: u32) -> Self {
        let pointer: *const u8;
        // SAFETY: a call of a function that returns its first argument.
        unsafe {
            asm!(
                ".8byte {call}",
                call = const CAST_CALL,
                inlateout("r1") address => _,
                inlateout("r2") u64::from(page) => _,
                lateout("r0") pointer,
                lateout("r3") _,
                lateout("r4") _,
                lateout("r5") _,
                options(nostack),
            );
        }
        Self(pointer)
    }

    /// Before Linux 5.17 there is nothing of the kind.
    #[cfg(feature = "baseline")]
    #[inline(always)]
    pub(crate) fn page_at(_address: u64) -> Option<Self> {
        None
    }

    /// Nobody comes here: there is no such type.
    #[cfg(feature = "baseline")]
    #[inline(always)]
    pub(crate) fn as_type(_address: u64, _page: u32) -> Self {
        Self(core::ptr::null())
    }

    /// The member at a byte offset.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier checks that there is one of that size, and a fault
        // reads as 0, which every `T` that is read here may be.
        unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() }
    }

    /// What the member at a byte offset points to.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u32) -> Self {
        Self(self.read(offset))
    }

    /// The same, if that is anything. Of a pointer that its type says is under RCU the
    /// verifier asks for the test; only kernels that Clang compiled say so.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) fn follow_some(self, offset: u32) -> Option<Self> {
        let there = self.follow(offset);
        (!there.0.is_null()).then_some(there)
    }

    /// The same pointer as a number.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        number(self.0)
    }
}
