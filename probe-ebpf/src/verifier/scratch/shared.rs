//! Where what a probe works on is while it works, for kernels that verify a
//! function on its own only if its arguments are numbers: in a cell of a map, with
//! the cell's number for a handle.

use core::{hint::black_box, mem::offset_of};

use aya_ebpf::helpers::bpf_get_smp_processor_id;

use crate::verifier::atomic::{load, swap};

/// What a loop passes to its steps.
pub(crate) type Raw = u64;

/// What a function that the verifier looks at on its own is given.
pub(crate) type Handle<T> = <T as Placed>::Place;

/// A number, whatever is kept there.
pub(crate) trait Placed {
    type Place;
}

impl<T> Placed for T {
    type Place = u64;
}

/// Cells of one type; a power of two.
pub(crate) const CELLS: u32 = 1024;

/// Cells that a CPU's probes look at: interrupts on top of each other, and tasks
/// that were preempted inside a probe.
const WAYS: u32 = 4;

/// Room for one thing to work on.
#[repr(C)]
pub(crate) struct Cell<T> {
    /// 1 while somebody works here.
    taken: u64,
    place: u64,
    it: T,
}

/// What is kept.
pub(crate) trait Kept: Sized {
    fn cell(place: u64) -> Option<*mut Cell<Self>>;

    #[inline(always)]
    fn handle(&mut self) -> Handle<Self> {
        // Opaque: who is given the number changes what this points to.
        let at = black_box(&raw mut *self).cast::<u8>();
        let back = offset_of!(Cell<Self>, it) - offset_of!(Cell<Self>, place);
        // SAFETY: only `lend` and `lent` make references, and both do so inside a
        // cell.
        load(unsafe { at.sub(back).cast() })
    }

    #[inline(always)]
    fn raw(&mut self) -> Raw {
        self.handle()
    }
}

/// The handle that a loop passed on.
#[inline(always)]
pub(crate) fn handle(raw: Raw) -> u64 {
    raw
}

/// What is behind a handle: what [`lend`] was given, or nothing.
#[inline(always)]
pub(crate) fn lent<'a, T: Kept>(handle: u64) -> Option<&'a mut T> {
    let cell = T::cell(handle)?;
    // SAFETY: a map value, aligned and alive; who has the handle has the cell.
    Some(unsafe { &mut (*cell).it })
}

/// What a loop passed to its step.
#[inline(always)]
pub(crate) fn passed<'a, T: Kept>(raw: Raw) -> Option<&'a mut T> {
    lent(raw)
}

/// Puts something where others reach it, until it is returned; `None` if there is no room.
#[inline(always)]
pub(crate) fn lend<T: Kept>(it: &mut T) -> Option<&mut T> {
    let place = take::<T>()?;
    let cell = T::cell(place)?;
    // SAFETY: a map value, aligned and alive, and nobody else's now.
    unsafe {
        (&raw mut (*cell).place).write(place);
        (&raw mut (*cell).it).copy_from_nonoverlapping(it, 1);
        Some(&mut (*cell).it)
    }
}

/// It is not reached any more.
#[inline(always)]
pub(crate) fn hand_back<T: Kept>(it: &mut T) {
    let back = offset_of!(Cell<T>, it) - offset_of!(Cell<T>, taken);
    // SAFETY: only `lend` and `lent` make references, and both do so inside a cell.
    let taken = unsafe { (&raw mut *it).cast::<u8>().sub(back).cast::<u64>() };
    // SAFETY: a map value, aligned and alive.
    unsafe { taken.write_volatile(0) };
}

#[inline(always)]
fn take<T: Kept>() -> Option<u64> {
    // SAFETY: the helper has no precondition.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    for way in 0..WAYS {
        let place = u64::from((cpu * WAYS + way) & (CELLS - 1));
        let cell = T::cell(place)?;
        // SAFETY: a map value, aligned and alive.
        let taken = unsafe { &raw mut (*cell).taken };
        if load(taken) == 0 && swap(taken, 0, 1) {
            return Some(place);
        }
    }
    None
}

/// Says of a type that it is kept, and where.
macro_rules! kept {
    ($type:ident, $cells:ident) => {
        #[aya_ebpf::macros::map]
        static $cells: aya_ebpf::maps::Array<$crate::verifier::scratch::Cell<$type>> =
            aya_ebpf::maps::Array::with_max_entries($crate::verifier::scratch::CELLS, 0);

        impl $crate::verifier::scratch::Kept for $type {
            #[inline(always)]
            fn cell(place: u64) -> Option<*mut $crate::verifier::scratch::Cell<Self>> {
                $cells.get_ptr_mut(place as u32)
            }
        }
    };
}
pub(crate) use kept;
