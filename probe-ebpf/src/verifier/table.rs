//! Tables in the object's own data: the address of an entry is reckoned, and nothing is looked up.

use core::{cell::UnsafeCell, mem::MaybeUninit};

/// Entries that any CPU may change; as many as a power of two.
#[repr(transparent)]
pub(crate) struct Table<T, const N: usize>(UnsafeCell<MaybeUninit<[T; N]>>);

// SAFETY: it gives out raw pointers only, and who uses one sees to what others do meanwhile.
unsafe impl<T, const N: usize> Sync for Table<T, N> {}

impl<T, const N: usize> Table<T, N> {
    /// All bytes zero, which every `T` that is kept so may be.
    pub(crate) const fn zeroed() -> Self {
        assert!(N.is_power_of_two());
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// The entry of a number, which wraps.
    #[inline(always)]
    pub(crate) fn at(&self, number: u32) -> *mut T {
        // SAFETY: masked to be inside the table.
        unsafe { self.0.get().cast::<T>().add(number as usize & (N - 1)) }
    }
}
