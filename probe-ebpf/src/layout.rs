//! The running kernel's layout, as a read-only global that the agent fills.
//!
//! The verifier knows its values, so a branch on a field costs nothing at run
//! time and a field used as an offset is a constant to it.

use probe_abi::{ABSENT, Layout};

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
};

/// Reads one field of the layout; volatile, because the compiler would
/// otherwise fold the placeholder in.
macro_rules! layout {
    ($field:ident) => {{
        // SAFETY: a field of a static: initialised, aligned, never written.
        unsafe { (&raw const $crate::layout::LAYOUT.$field).read_volatile() }
    }};
}
pub(crate) use layout;
