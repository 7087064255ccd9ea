//! Which calls the first of two programs has dealt with, on a CPU that a task keeps to itself.
//!
//! Two programs stand on a function that interrupts call, one after the other. The kernel
//! skips either where it is at work on that CPU already. The first notes the call; the
//! second deals with a call that has no note.
//!
//! Calls are nested, so the notes are a stack. One thing disturbs it: an interrupt that comes
//! while a second program is at work notes its call, and its own second program is skipped.
//! Such a note is passed by the call below it, and the next call of a task clears the stack:
//! below a task there is nothing.

/// The notes of a function's calls on one CPU. What comes in on top may change them between
/// any two of these.
pub trait Notes: Copy {
    /// What is at a place, which wraps: a call, or 0.
    fn note(self, place: u64) -> u64;

    /// Puts it there.
    fn set_note(self, place: u64, call: u64);

    /// How many there are.
    fn height(self) -> u64;

    /// As many from now on.
    fn set_height(self, height: u64);

    /// Whether a task makes this call, and no interrupt on top of one; false if that is not
    /// known.
    fn is_a_tasks(self) -> bool;

    /// A number of which neither compiler nor verifier knows anything.
    fn opaque(self, number: u64) -> u64;
}

/// How far below the top a call is looked for: below what three interrupts left while one
/// second program was at work, which is for some fifty instructions.
const DEPTH: u64 = 4;

/// The first program deals with a call.
#[inline(always)]
pub fn push<N: Notes>(notes: N, call: u64) {
    let height = notes.opaque(notes.height());
    // In this order: whether it is a task's takes longer to find out.
    if height == 0 || !notes.is_a_tasks() {
        put(notes, height, call);
    } else {
        put(notes, 0, call);
    }
}

#[inline(always)]
fn put<N: Notes>(notes: N, place: u64, call: u64) {
    notes.set_note(place, call);
    notes.set_height(place + 1);
}

/// Whether the first program has dealt with a call that is on top, as it nearly always is. Its
/// note is gone then.
#[inline(always)]
pub fn pop<N: Notes>(notes: N, call: u64) -> bool {
    let height = notes.opaque(notes.height());
    let top = height.wrapping_sub(1);
    if height == 0 || notes.note(top) != call {
        return false;
    }
    notes.set_height(top);
    true
}

/// The same of a call that is not on top: its note lies further below, and those above it go
/// with it, or it is a task's, which nothing keeps the first program from.
#[inline(always)]
pub fn was_dealt_with<N: Notes>(notes: N, call: u64) -> bool {
    let height = notes.opaque(notes.height());
    for below in 2..=DEPTH {
        if below > height {
            break;
        }
        let place = notes.opaque(height - below);
        if notes.note(place) == call {
            notes.set_height(place);
            return true;
        }
    }
    notes.is_a_tasks()
}
