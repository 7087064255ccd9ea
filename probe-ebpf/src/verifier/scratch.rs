//! Where what a probe works on is while it works: on its stack, where functions
//! that the verifier looks at on their own reach it through a pointer.

use core::ffi::c_void;

/// What a loop passes to its steps.
pub(crate) type Raw = *mut c_void;

/// What such a function is given.
pub(crate) type Handle<T> = *mut T;

/// What is kept.
pub(crate) trait Kept: Sized {
    #[inline(always)]
    fn handle(&mut self) -> Handle<Self> {
        &raw mut *self
    }

    #[inline(always)]
    fn raw(&mut self) -> Raw {
        self.handle().cast()
    }
}

/// The handle that a loop passed on.
#[inline(always)]
pub(crate) fn handle<T: Kept>(raw: Raw) -> Handle<T> {
    raw.cast()
}

/// What is behind a handle: what [`lend`] was given, or nothing.
#[inline(always)]
pub(crate) fn lent<'a, T: Kept>(handle: Handle<T>) -> Option<&'a mut T> {
    // SAFETY: it points to the stack of a caller, who waits, or nowhere.
    unsafe { handle.as_mut() }
}

/// What a loop passed to its step.
#[inline(always)]
pub(crate) fn passed<'a, T: Kept>(raw: Raw) -> Option<&'a mut T> {
    // SAFETY: it points to the stack of the loop's caller, who waits.
    Some(unsafe { &mut *raw.cast::<T>() })
}

/// Puts something where others reach it, until it is returned; `None` if there is no room.
#[inline(always)]
pub(crate) fn lend<T: Kept>(it: &mut T) -> Option<&mut T> {
    Some(it)
}

/// It is not reached any more.
#[inline(always)]
pub(crate) fn hand_back<T: Kept>(_it: &mut T) {}

/// Says of a type that it is kept.
macro_rules! kept {
    ($type:ident, $cells:ident) => {
        impl $crate::verifier::scratch::Kept for $type {}
    };
}
pub(crate) use kept;
