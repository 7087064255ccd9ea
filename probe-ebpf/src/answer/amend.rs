//! Changes to the ledger that the agent wants. Made here, so that a word is changed in one
//! way only, whatever that is on this kernel.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use ledger::{References, Table as _};
use probe_abi::{AMENDMENTS_AT_ONCE, Amendment, Word};

use crate::{
    book::{
        entries, settings,
        ways::{Ledger, Long},
    },
    verifier::repeat::each,
};

const LEDGER: Long = Ledger;

/// What is wanted, and what became of it; the agent maps them.
#[map]
static AMENDMENTS: Array<Amendment> =
    Array::with_max_entries(AMENDMENTS_AT_ONCE as u32, BPF_F_MMAPABLE);

/// The first argument is how many there are.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn amend(ctx: RawTracePointContext) -> i32 {
    let n: u64 = ctx.arg(0);
    each(n.min(AMENDMENTS_AT_ONCE as u64) as u32, amend_one);
    0
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn amend_one(index: u64) -> i64 {
    change(index);
    0
}

/// A function that the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn change(index: u64) -> u64 {
    let Some(amendment) = AMENDMENTS.get_ptr_mut(index as u32) else {
        return 0;
    };
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    let it = unsafe { &mut *amendment };
    if it.kind == Amendment::ENTER {
        it.done = enter(it);
        return 0;
    }
    let Some(bucket) = LEDGER.bucket(it.bucket) else {
        it.done = 0;
        return 0;
    };
    let slot = it.slot as usize;
    it.done = match it.kind {
        Amendment::WRITE_OFF => ledger::write_off(LEDGER, bucket, slot, it.word, it.owner, it.n),
        Amendment::MARK_GUESS => {
            u64::from(ledger::mark_guess(LEDGER, bucket, slot, it.word, it.owner))
        }
        Amendment::FORGET => ledger::forget(LEDGER, bucket, slot, Word(it.word)),
        Amendment::DOUBT_HINT => u64::from(ledger::doubt_hint(LEDGER, bucket, slot)),
        Amendment::CLEAR_HINT => u64::from(ledger::clear_hint(LEDGER, bucket, slot)),
        _ => 0,
    };
    0
}

/// Enters pins that the kernel holds and the ledger did not.
#[inline(always)]
fn enter(it: &Amendment) -> u64 {
    let head = settings::page_of(it.word >> Word::KEY_SHIFT);
    if head == 0 {
        return 0;
    }
    let references = References {
        memcg: it.memcg,
        order: it.order,
        owner: it.owner,
        ..References::on(head, it.word & Word::GET, it.n, it.mapping)
    };
    entries::acquire(references, head);
    it.n
}
