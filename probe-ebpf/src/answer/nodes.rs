//! The kernel's own count of pins, node by node: its totals, and what each CPU has not
//! handed in yet. `/proc/vmstat` has the totals only, which are up to a second old
//! (`vm.stat_interval`), and to have them brought up to date disturbs every CPU.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{ABSENT, Node};

use crate::{
    kernel::{
        layout::layout,
        read::{member, read_kernel},
    },
    verifier::repeat::{MOST, each},
};

/// The answer; the agent maps it.
#[map]
static NODE: Array<Node> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Arguments: the node's number, and how many CPUs there can be.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn count_pins(ctx: RawTracePointContext) -> i32 {
    let (number, cpus): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let Some(node) = answer() else {
        return 0;
    };
    let all = cpus <= u64::from(MOST);
    node.known = u64::from(all && add_totals(node, number).is_some());
    if node.known == 1 {
        each(cpus as u32, add_pending);
    }
    0
}

#[inline(always)]
fn answer() -> Option<&'static mut Node> {
    let node = NODE.get_ptr_mut(0)?;
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    Some(unsafe { &mut *node })
}

/// `None` where this kernel does not show them.
#[inline(always)]
fn add_totals(node: &mut Node, number: u64) -> Option<()> {
    if layout!(node_data) == 0 || layout!(per_cpu_offset) == 0 {
        return None;
    }
    let data: u64 = read_kernel(layout!(node_data) + number * 8)?;
    let (totals, differences) = (layout!(node_vm_stat), layout!(node_diff));
    let (acquired, released) = (layout!(nr_acquired), layout!(nr_released));
    let hidden = [totals, differences, acquired, released].contains(&ABSENT);
    if data == 0 || hidden {
        return None;
    }
    let total = |item: u32| read_kernel::<u64>(data + u64::from(totals) + u64::from(item) * 8);
    node.acquired = total(acquired)?;
    node.released = total(released)?;
    node.pending_at = member::<u64>(data, layout!(node_per_cpu))? + u64::from(differences);
    Some(())
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn add_pending(cpu: u64) -> i64 {
    let Some(node) = answer() else {
        return 1;
    };
    match pending(node.pending_at, cpu) {
        Some([acquired, released]) => {
            node.acquired = node.acquired.wrapping_add(acquired);
            node.released = node.released.wrapping_add(released);
            0
        }
        None => {
            node.known = 0;
            1
        }
    }
}

/// What a CPU has counted up or down since it handed in, acquired and released.
#[inline(always)]
fn pending(at: u64, cpu: u64) -> Option<[u64; 2]> {
    let offset: u64 = read_kernel(layout!(per_cpu_offset) + cpu * 8)?;
    let differences = at.wrapping_add(offset);
    let of = |item: u32| read_kernel::<i8>(differences + u64::from(item));
    let acquired = of(layout!(nr_acquired))? as i64 as u64;
    let released = of(layout!(nr_released))? as i64 as u64;
    Some([acquired, released])
}
