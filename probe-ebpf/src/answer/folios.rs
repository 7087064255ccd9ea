//! What the kernel has of a folio now, pin count and reference count first: what the ledger
//! is held against.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{FOLIOS_AT_ONCE, Folio as Fact};

use crate::{book::settings, kernel::folio::Folio, verifier::repeat::each};

/// Questions and answers; the agent maps them.
#[map]
static FOLIOS: Array<Fact> = Array::with_max_entries(FOLIOS_AT_ONCE as u32, BPF_F_MMAPABLE);

/// The first argument is how many are asked for.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn inspect(ctx: RawTracePointContext) -> i32 {
    let n: u64 = ctx.arg(0);
    each(n.min(FOLIOS_AT_ONCE as u64) as u32, inspect_one);
    0
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn inspect_one(index: u64) -> i64 {
    let Some(fact) = FOLIOS.get_ptr_mut(index as u32) else {
        return 1;
    };
    answer(fact);
    0
}

#[inline(always)]
fn answer(fact: *mut Fact) {
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    let fact = unsafe { &mut *fact };
    let page = settings::page_of(fact.key);
    let folio = match Folio::of(page) {
        Some(folio) if page != 0 => folio,
        _ => {
            fact.state = Fact::UNREADABLE;
            return;
        }
    };
    if folio.address != page {
        fact.state = Fact::TAIL;
        return;
    }
    tell(fact, &folio);
}

/// The kernel's counts of a folio.
#[inline(always)]
pub(crate) fn tell(fact: &mut Fact, folio: &Folio) {
    fact.flags = folio.head.flags();
    fact.mapping = folio.head.mapping();
    fact.refcount = folio.head.refcount();
    fact.mapcount = folio.mapcount();
    fact.pages = folio.pages;
    if folio.counts_pins() {
        fact.pincount = folio.pincount();
        fact.state = Fact::LARGE;
    } else {
        fact.pincount = 0;
        fact.state = Fact::SMALL;
    }
}
