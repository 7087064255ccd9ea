//! Pointers whose type the verifier knows: what lies behind one is a load, where
//! any other address takes a call of a helper that costs a hundred instructions.
//!
//! Of such a pointer every load must be of a whole member, at an offset that the
//! verifier knows, and no arithmetic is allowed beyond that. A load that fails
//! reads as 0.

use core::arch::asm;

use aya_ebpf::{EbpfContext, programs::FEntryContext};
#[cfg(not(feature = "baseline"))]
use probe_abi::CAST_CALL;
use probe_abi::MEMBER;

use crate::kernel::layout::At;
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

    /// What lies at the address itself.
    #[inline(always)]
    pub(crate) fn first<T: Copy>(self) -> T {
        // SAFETY: the verifier checks that a member of that size begins there, and a fault reads
        // as 0, which every `T` that is read here may be.
        unsafe { self.0.cast::<T>().read_volatile() }
    }

    /// A member. The verifier checks that there is one of that size; a fault reads as 0.
    #[inline(always)]
    pub(crate) fn read<T: Loaded, const FIELD: usize>(self, _member: At<FIELD>) -> T {
        T::load::<FIELD>(self.0)
    }

    /// What a member points to.
    #[inline(always)]
    pub(crate) fn follow<const FIELD: usize>(self, member: At<FIELD>) -> Self {
        Self(self.read(member))
    }

    /// The same, if that is anything. Of a pointer that its type says is under RCU the
    /// verifier asks for the test; only kernels that Clang compiled say so.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) fn follow_some<const FIELD: usize>(self, member: At<FIELD>) -> Option<Self> {
        let there = self.follow(member);
        (!there.0.is_null()).then_some(there)
    }

    /// The same pointer as a number.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        number(self.0)
    }
}

/// What can be loaded from behind a typed pointer.
pub(crate) trait Loaded: Copy {
    /// The member whose offset is that field of the layout.
    fn load<const FIELD: usize>(base: *const u8) -> Self;
}

macro_rules! loaded {
    ($type:ty, $register:ty, $load:literal) => {
        impl Loaded for $type {
            #[inline(always)]
            fn load<const FIELD: usize>(base: *const u8) -> Self {
                let value: $register;
                // SAFETY: a load that the verifier checks.
                unsafe {
                    asm!(
                        $load,
                        out(reg) value,
                        in(reg) base,
                        const MEMBER + FIELD as i16,
                        options(readonly, nostack),
                    );
                }
                value as Self
            }
        }
    };
}

loaded!(u16, u64, "{0} = *(u16 *)({1} + {2})");
loaded!(u32, u64, "{0} = *(u32 *)({1} + {2})");
loaded!(u64, u64, "{0} = *(u64 *)({1} + {2})");
loaded!(*const u8, *const u8, "{0} = *(u64 *)({1} + {2})");
