//! The running kernel's layout: constants in the instructions that need them, written there by the
//! agent, and what is too long for one in a read-only global.
//!
//! The verifier knows the values, so a branch on a field costs nothing at run time and a field
//! used as an offset is a constant to it.

use core::arch::asm;

use probe_abi::{ABSENT, CONSTANT, Layout};

/// Filled by the agent before loading; the values here make every program
/// useless rather than wrong.
#[unsafe(no_mangle)]
pub(crate) static LAYOUT: Layout = Layout {
    page_size: 0,
    flags: ABSENT,
    compound: ABSENT,
    compound_is_mask: 0,
    mapping: ABSENT,
    index: ABSENT,
    mapcount: ABSENT,
    refcount: ABSENT,
    large_mapcount: ABSENT,
    pincount: ABSENT,
    pincount_min_order: 0,
    pages: ABSENT,
    pg_head: ABSENT,
    pg_private: ABSENT,
    pg_writeback: ABSENT,
    mapping_host: ABSENT,
    inode_ino: ABSENT,
    inode_sb: ABSENT,
    sb_dev: ABSENT,
    bio_io_vec: ABSENT,
    bio_vcnt: ABSENT,
    bio_flags: ABSENT,
    bio_no_page_ref: ABSENT,
    bvec_page: ABSENT,
    bvec_len: ABSENT,
    bvec_offset: ABSENT,
    bvec_size: ABSENT,
    foll_longterm: u32::MAX,
    zap_start: 0,
    zap_end: 0,
    preempt_count: 0,
    hardirq_shift: 0,
    per_cpu_offset: 0,
    ledger_shift: 0,
    ptes_hooked: 0,
    zaps_hooked: 0,
    owners_mask: 0,
    memcg: ABSENT,
    task_leader: ABSENT,
    task_start: ABSENT,
    task_comm: ABSENT,
    task_cred: ABSENT,
    cred_uid: ABSENT,
    inode_dentry: ABSENT,
    dentry_alias: ABSENT,
    dentry_parent: ABSENT,
    dentry_name: ABSENT,
    sb_type: ABSENT,
    sb_id: ABSENT,
    fs_name: ABSENT,
    memcg_cgroup: ABSENT,
    objcg_memcg: ABSENT,
    cgroup_self: ABSENT,
    cgroup_kn: ABSENT,
    kn_id: ABSENT,
    task_preempt_count: ABSENT,
    page_shift: 0,
    page_type: 0,
    calls_nest: 0,
    preemptible: 0,
    task_mm: ABSENT,
    task_flags: ABSENT,
    task_files: ABSENT,
    files_fdt: ABSENT,
    fdt_max: ABSENT,
    fdt_fd: ABSENT,
    file_private: ABSENT,
    task_io_uring: ABSENT,
    uring_rings: ABSENT,
    task_kthread: ABSENT,
    kthread_data: ABSENT,
    worker_work: ABSENT,
    worker_func: ABSENT,
    ring_exit_work: ABSENT,
    ring_mm: ABSENT,
    ring_exit: 0,
    task_pid: ABSENT,
    task_tid: ABSENT,
    task_link: ABSENT,
    task_exit_state: ABSENT,
    task_signal: ABSENT,
    pid_level: ABSENT,
    pid_numbers: ABSENT,
    upid_size: 0,
    upid_nr: ABSENT,
    upid_ns: ABSENT,
    pid_tasks: ABSENT,
    ns_idr: ABSENT,
    ns_parent: ABSENT,
    xa_shift: ABSENT,
    xa_slots: ABSENT,
    xa_bits: 0,
    signal_live: ABSENT,
    signal_flags: ABSENT,
    signal_memlock: ABSENT,
    mm_pinned: ABSENT,
    mm_locked: ABSENT,
    cred_user_ns: ABSENT,
    user_ns_level: ABSENT,
    node_data: 0,
    node_vm_stat: ABSENT,
    node_per_cpu: ABSENT,
    node_diff: ABSENT,
    nr_acquired: ABSENT,
    nr_released: ABSENT,
    pg_swapcache: ABSENT,
    kn_name: ABSENT,
    kn_parent: ABSENT,
    task_cgroups: ABSENT,
    css_set_default: ABSENT,
    css_set_memory: ABSENT,
    css_set_pids: ABSENT,
    css_cgroup: ABSENT,
    cgroup_root: ABSENT,
    root_hierarchy: ABSENT,
    cred_user: ABSENT,
    user_locked: ABSENT,
    user_ns_owner: ABSENT,
    task_status: ABSENT,
    signal_threads: ABSENT,
    reserved: 0,
};

/// A field of the layout: a constant that the agent writes into the instruction, or, of 64 bits,
/// read from memory.
macro_rules! layout {
    ($field:ident) => {{
        const AT: usize = core::mem::offset_of!(probe_abi::Layout, $field);
        // SAFETY: the offset is the field's.
        unsafe { $crate::kernel::layout::Field::get::<AT>(|it: &probe_abi::Layout| it.$field) }
    }};
}
pub(crate) use layout;

/// Where the layout has the offset of a member, see [`at`].
#[derive(Clone, Copy)]
pub(crate) struct At<const FIELD: usize>;

/// The member whose offset is this field of the layout: a load of it has the offset in itself.
macro_rules! at {
    ($field:ident) => {
        $crate::kernel::layout::At::<{ core::mem::offset_of!(probe_abi::Layout, $field) }>
    };
}
pub(crate) use at;

/// What a field of the layout may be.
pub(crate) trait Field: Sized {
    /// The field at a byte offset. `_type` says which type it has.
    ///
    /// # Safety
    ///
    /// The offset must be that of such a field.
    unsafe fn get<const AT: usize>(_type: impl Fn(&Layout) -> Self) -> Self;
}

impl Field for u32 {
    #[inline(always)]
    unsafe fn get<const AT: usize>(_type: impl Fn(&Layout) -> Self) -> Self {
        let value: Self;
        // Not pure: a constant that is kept for later takes room on the stack, of which there is
        // little.
        // SAFETY: a register gets a constant.
        unsafe {
            asm!(
                "{0} = {1}",
                out(wreg) value,
                const CONSTANT | AT as u32,
                options(nomem, nostack),
            );
        }
        value
    }
}

impl Field for u64 {
    #[inline(always)]
    unsafe fn get<const AT: usize>(_type: impl Fn(&Layout) -> Self) -> Self {
        // Volatile, because the compiler would otherwise fold the placeholder in.
        // SAFETY: initialised, aligned, never written; and see above.
        unsafe {
            (&raw const LAYOUT)
                .cast::<u8>()
                .add(AT)
                .cast::<Self>()
                .read_volatile()
        }
    }
}
