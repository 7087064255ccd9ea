//! Call paths: by what a thread knows one again.
//!
//! Unwinding a stack costs more than all else that a probe does. A path is known
//! by two return addresses at two places of the stack, in its middle and where it
//! left the system call. Their distance from the innermost frame is the depth of
//! all frames between, so that another path would have to be as long, to the byte.
//! (The depth of the stack as a whole tells nothing: the kernel begins each system
//! call at another one.)

use core::ffi::c_void;

use crate::{
    kernel::{
        arch::{Arch, This},
        read::{read_kernel, read_word},
    },
    verifier::{repeat::repeat_here, unknown::opaque},
};

/// Parts of the stack in which return addresses are looked for, and the words of
/// each.
const CHUNKS: u32 = 48;
const CHUNK_WORDS: usize = 8;

/// How often an address may be in another place than it was before its path's
/// outer end is no longer compared: it lies where it cannot be found again, and
/// unwinding costs all others more.
const PATIENCE: u32 = 64;

/// Call paths that a thread remembers; a power of two.
pub(crate) const PATHS: usize = 8;

/// Return addresses by which a path is known again.
pub(crate) const CHECKED: usize = 2;

/// Places at which a stack may begin, in words, as far as it matters: some
/// functions align their frames, to 64 bytes at most, so that what lies beyond
/// is further away or less far.
const BEGINNINGS: usize = 8;

/// A call path and its owner.
#[repr(C)]
pub(crate) struct Path {
    /// The function that was called, plus one, above its flags; 0 for none.
    pub(crate) what: u64,
    pub(crate) owner_tag: u64,
    pub(crate) owner: u32,
    /// How often a return address was not in its place.
    misplaced: u32,
    /// The compared return addresses.
    value: [u64; CHECKED],
    /// Distance of each from the stack's innermost end; 0 where it is not known.
    at: [[u16; BEGINNINGS]; CHECKED],
}

/// Whether the compared return addresses are where the path has them.
#[inline(always)]
pub(crate) fn is_same(path: &Path, stack: u64) -> bool {
    for place in 0..CHECKED {
        if place > 0 && path.misplaced > PATIENCE {
            break;
        }
        let at = path.at[place][beginning(stack)];
        if at == 0 || code_at(stack + u64::from(at)) != Some(path.value[place]) {
            return false;
        }
    }
    true
}

/// The return address at a place of the stack.
#[inline(always)]
fn code_at(place: u64) -> Option<u64> {
    read_word(place).map(This::code_address)
}

#[inline(always)]
fn beginning(stack: u64) -> usize {
    (stack >> 3) as usize & (BEGINNINGS - 1)
}

impl Path {
    /// Remembers a path by two return addresses, and where on the stack they are. `fresh`: it
    /// was another one before.
    ///
    /// A return address may also be left over from earlier calls, anywhere. Such a
    /// place fails sooner or later, the true one never: after a failure the next
    /// place counts.
    #[inline(always)]
    pub(crate) fn learn(&mut self, values: [u64; CHECKED], stack: u64, fresh: bool) {
        self.value = values;
        if fresh {
            self.at = [[0; BEGINNINGS]; CHECKED];
            self.misplaced = 0;
        }
        let begins = beginning(stack);
        for check in 0..CHECKED {
            let known = u64::from(self.at[check][begins]);
            if known == 0 || code_at(stack + known) != Some(self.value[check]) {
                self.at[check][begins] = look_for(self.value[check], stack, known) as u16;
                self.misplaced = self.misplaced.saturating_add(1);
            }
        }
    }
}

/// The next place of a value on a stack after a known one, or else the first; 0
/// if there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_for(value: u64, stack: u64, known: u64) -> u64 {
    let mut scan = Scan {
        value,
        stack,
        known,
        first: 0,
        next: 0,
    };
    repeat_here(CHUNKS, look_at, (&raw mut scan).cast());
    if scan.next == 0 {
        scan.first
    } else {
        scan.next
    }
}

/// A stack that is looked through.
#[repr(C)]
struct Scan {
    value: u64,
    stack: u64,
    known: u64,
    first: u64,
    next: u64,
}

/// Looks for the address in one part of the stack. 1 once there is a next one.
extern "C" fn look_at(chunk: u64, scan: *mut c_void) -> i64 {
    // SAFETY: the pointer that `look_for` passed.
    let scan = unsafe { &mut *scan.cast::<Scan>() };
    let begin = chunk * (CHUNK_WORDS * 8) as u64;
    let places = places_of(scan.value, scan.stack + begin);
    if places == 0 {
        return 0;
    }
    if scan.first == 0 {
        scan.first = begin + 8 * first_bit(places);
    }
    let passed = if scan.known < begin {
        0
    } else {
        (scan.known - begin) / 8 + 1
    };
    if passed >= CHUNK_WORDS as u64 {
        return 0;
    }
    let ahead = places >> passed << passed;
    if ahead == 0 {
        return 0;
    }
    scan.next = begin + 8 * first_bit(ahead);
    1
}

/// At which of some words a value is, a bit a word. Beyond the end of the stack
/// there is nothing.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn places_of(value: u64, words: u64) -> u64 {
    let Some(words) = read_kernel::<[u64; CHUNK_WORDS]>(words) else {
        return 0;
    };
    let mut places = 0;
    for (place, word) in words.iter().enumerate() {
        places |= same(This::code_address(*word), value) << place;
    }
    places
}

/// 1 if both are equal, without a branch: the verifier would follow each of the
/// outcomes of all of them.
#[inline(always)]
fn same(left: u64, right: u64) -> u64 {
    let difference = left ^ right;
    opaque(difference | difference.wrapping_neg()) >> 63 ^ 1
}

/// Index of the lowest bit that is set, of eight.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn first_bit(mut bits: u64) -> u64 {
    let mut at = 0;
    for width in [4, 2, 1] {
        if bits & ((1 << width) - 1) == 0 {
            bits >>= width;
            at += width;
        }
    }
    at
}
