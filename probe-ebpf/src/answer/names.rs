//! What a pointer stands for: which file, which cgroup.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str},
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{ABSENT, Answer, NAME_BYTES, PATH_DEPTH, Query};

use crate::{
    book::settings,
    kernel::{layout::layout, read::member},
    verifier::repeat::repeat_here,
};

#[map]
static ANSWER: Array<Answer> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Tag bits of `memcg_data`: what it points to, and whose it is.
const MEMCG_TAGS: u64 = 7;

#[raw_tracepoint(tracepoint = "sys_enter")]
fn resolve(ctx: RawTracePointContext) -> i32 {
    let Some(answer) = ANSWER.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a map value; the agent asks one question at a time.
    let answer = unsafe { &mut *answer };
    answer.known = 0;
    let (query, first, second): (u64, u64, u64) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let known = if query == Query::FILE {
        file(first, second, answer)
    } else {
        memcg(first, answer)
    };
    answer.known = u64::from(known.is_some());
    0
}

/// The file that `mapping` caches, if the folio of `key` is still in it: a
/// mapping that a page is in does not go away while a reader holds the RCU lock.
#[inline(always)]
fn file(key: u64, mapping: u64, answer: &mut Answer) -> Option<()> {
    let page = settings::page_of(key);
    if page == 0 || member::<u64>(page, layout!(mapping))? != mapping {
        return None;
    }
    let inode: u64 = member(mapping, layout!(mapping_host))?;
    answer.inode = member(inode, layout!(inode_ino))?;
    let volume: u64 = member(inode, layout!(inode_sb))?;
    answer.device = member(volume, layout!(sb_dev))?;
    let kind: u64 = member(volume, layout!(sb_type))?;
    let name: u64 = member(kind, layout!(fs_name))?;
    let id = volume + u64::from(layout!(sb_id));
    // SAFETY: the buffers are as long as said; a failure leaves them zero.
    unsafe {
        bpf_probe_read_kernel_str(
            answer.file_system.as_mut_ptr().cast(),
            16,
            name as *const c_void,
        );
        bpf_probe_read_kernel(answer.volume.as_mut_ptr().cast(), 32, id as *const c_void);
    }
    answer.depth = 0;
    let alias: u64 = member(inode, layout!(inode_dentry))?;
    if alias == 0 || layout!(dentry_alias) == ABSENT {
        // A file without a name.
        return Some(());
    }
    let mut trail = Trail {
        dentry: alias - u64::from(layout!(dentry_alias)),
        depth: 0,
    };
    repeat_here(PATH_DEPTH as u32, up, (&raw mut trail).cast());
    answer.depth = trail.depth as u32;
    Some(())
}

#[repr(C)]
struct Trail {
    dentry: u64,
    depth: u64,
}

/// Keeps one name, and goes to its parent.
extern "C" fn up(at: u64, trail: *mut c_void) -> i64 {
    // SAFETY: the pointer that `file` passed.
    let trail = unsafe { &mut *trail.cast::<Trail>() };
    let Some(answer) = ANSWER.get_ptr_mut(0) else {
        return 1;
    };
    let name = member::<u64>(trail.dentry, layout!(dentry_name));
    let parent = member::<u64>(trail.dentry, layout!(dentry_parent));
    let (Some(name), Some(parent)) = (name, parent) else {
        return 1;
    };
    // SAFETY: masked to be inside the array; the cell is as long as said.
    unsafe {
        let cell = (&raw mut (*answer).names)
            .cast::<[u8; NAME_BYTES]>()
            .add(at as usize & (PATH_DEPTH - 1));
        bpf_probe_read_kernel_str(cell.cast(), NAME_BYTES as u32, name as *const c_void);
    }
    trail.depth += 1;
    if parent == trail.dentry {
        return 1;
    }
    trail.dentry = parent;
    0
}

/// The cgroup of a `memcg_data`, which is a memory cgroup or an `obj_cgroup` that
/// knows one, by kernel and page. A cgroup points to itself: that tells which.
#[inline(always)]
fn memcg(data: u64, answer: &mut Answer) -> Option<()> {
    let pointer = data & !MEMCG_TAGS;
    let direct = cgroup(pointer);
    answer.cgroup = match direct {
        Some(id) => id,
        None => cgroup(member(pointer, layout!(objcg_memcg))?)?,
    };
    Some(())
}

#[inline(always)]
fn cgroup(memcg: u64) -> Option<u64> {
    let cgroup: u64 = member(memcg, layout!(memcg_cgroup))?;
    if member::<u64>(cgroup, layout!(cgroup_self))? != cgroup {
        return None;
    }
    let node: u64 = member(cgroup, layout!(cgroup_kn))?;
    member(node, layout!(kn_id))
}
