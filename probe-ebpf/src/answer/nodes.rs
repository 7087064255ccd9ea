//! The kernel's own count of pins, node by node: its totals, and what each CPU has not
//! handed in yet. `/proc/vmstat` has the totals only, which are up to a second old
//! (`vm.stat_interval`), and to have them brought up to date disturbs every CPU.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{ABSENT, NODES as MOST, Node};

use crate::{
    kernel::{
        layout::layout,
        read::{member, read_kernel},
    },
    verifier::repeat::{needs, repeat_here},
};

/// Answers, by the node's number; the agent maps them.
#[map]
static NODES: Array<Node> = Array::with_max_entries(MOST as u32, BPF_F_MMAPABLE);

/// A node that is being read.
#[repr(C)]
struct Reading {
    /// Address of its CPUs' pending counts, before each CPU's offset.
    pending: u64,
    acquired: u64,
    released: u64,
    readable: u64,
}

/// Arguments: the node's number, and how many CPUs there can be.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn count_pins(ctx: RawTracePointContext) -> i32 {
    let (number, cpus): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let Some(node) = NODES.get_ptr_mut(number as u32) else {
        return 0;
    };
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    let node = unsafe { &mut *node };
    let reading = read(number, cpus as u32);
    node.known = u64::from(reading.is_some());
    if let Some(reading) = reading {
        node.acquired = reading.acquired;
        node.released = reading.released;
    }
    0
}

#[inline(always)]
fn read(number: u64, cpus: u32) -> Option<Reading> {
    if layout!(node_data) == 0 || layout!(per_cpu_offset) == 0 {
        return None;
    }
    let data: u64 = read_kernel(layout!(node_data) + number * 8)?;
    if data == 0 {
        return None;
    }
    let (totals, per_cpu) = (layout!(node_vm_stat), layout!(node_per_cpu));
    let items = [layout!(nr_acquired), layout!(nr_released)];
    if totals == ABSENT || layout!(node_diff) == ABSENT || items[0] == ABSENT || items[1] == ABSENT
    {
        return None;
    }
    let total = |item: u32| read_kernel::<u64>(data + u64::from(totals) + u64::from(item) * 8);
    let mut reading = Reading {
        pending: member(data, per_cpu)?,
        acquired: total(items[0])?,
        released: total(items[1])?,
        readable: 1,
    };
    repeat_here(cpus, add_pending, (&raw mut reading).cast());
    (reading.readable == 1).then_some(reading)
}

#[cfg_attr(feature = "baseline", inline(never))]
extern "C" fn add_pending(cpu: u64, reading: *mut core::ffi::c_void) -> i64 {
    needs(cpu);
    // SAFETY: the pointer that `read` passed.
    let reading = unsafe { &mut *reading.cast::<Reading>() };
    let counts = |offset: u64, item: u32| -> Option<u64> {
        let at = reading.pending.wrapping_add(offset) + u64::from(layout!(node_diff));
        Some(read_kernel::<i8>(at + u64::from(item))? as i64 as u64)
    };
    let offset: Option<u64> = read_kernel(layout!(per_cpu_offset) + cpu * 8);
    let pending = offset.and_then(|offset| {
        Some((
            counts(offset, layout!(nr_acquired))?,
            counts(offset, layout!(nr_released))?,
        ))
    });
    match pending {
        Some((acquired, released)) => {
            reading.acquired = reading.acquired.wrapping_add(acquired);
            reading.released = reading.released.wrapping_add(released);
            0
        }
        None => {
            reading.readable = 0;
            1
        }
    }
}
