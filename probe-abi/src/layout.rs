//! Where the running kernel keeps what the probes read; filled from its BTF.
//!
//! Passed to the probes as one read-only global. An offset that the kernel does
//! not have is [`ABSENT`], and what needs it is off.

/// Marks an offset or a bit that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Offsets are bytes from the start of the head page's `struct page`, unless
/// the field says otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Layout {
    /// `sizeof(struct page)`.
    pub page_size: u32,
    /// `page.flags`.
    pub flags: u32,
    /// `page.compound_head`, or `compound_info` where `compound_is_mask` is 1.
    pub compound: u32,
    /// 1 where the word in a tail page is a mask over its own address
    /// (`compound_info`), 0 where it is a pointer.
    pub compound_is_mask: u32,
    /// `page.mapping`.
    pub mapping: u32,
    /// `page.index` or its successor.
    pub index: u32,
    /// `page._mapcount`.
    pub mapcount: u32,
    /// `page._refcount`.
    pub refcount: u32,
    /// Mapcount of a whole large folio (`folio._large_mapcount`).
    pub large_mapcount: u32,
    /// Pin count of a large folio.
    pub pincount: u32,
    /// Smallest order of a folio that has a pin count.
    pub pincount_min_order: u32,
    /// Number of pages of a large folio, 32 bits.
    pub pages: u32,
    /// Bit number of `PG_head`.
    pub pg_head: u32,
    /// Bit number of `PG_private`.
    pub pg_private: u32,
    /// Bit number of `PG_writeback`.
    pub pg_writeback: u32,
    /// `address_space.host`.
    pub mapping_host: u32,
    /// `inode.i_ino`.
    pub inode_ino: u32,
    /// `inode.i_sb`.
    pub inode_sb: u32,
    /// `super_block.s_dev`.
    pub sb_dev: u32,
    /// `bio.bi_io_vec`.
    pub bio_io_vec: u32,
    /// `bio.bi_vcnt`.
    pub bio_vcnt: u32,
    /// `bio.bi_flags`.
    pub bio_flags: u32,
    /// Bit of `bi_flags` that says the bio holds no references (`BIO_NO_PAGE_REF`).
    pub bio_no_page_ref: u32,
    /// `bio_vec.bv_page`, from the start of a `struct bio_vec`.
    pub bvec_page: u32,
    /// `bio_vec.bv_len`.
    pub bvec_len: u32,
    /// `bio_vec.bv_offset`.
    pub bvec_offset: u32,
    /// `sizeof(struct bio_vec)`.
    pub bvec_size: u32,
    /// `FOLL_LONGTERM`; all ones where its value is unknown.
    pub foll_longterm: u32,
    /// Bounds of the code that clears page-table entries on unmap, from
    /// kallsyms: a decrement with a return address between them is a zap.
    pub zap_start: u64,
    /// End of that code.
    pub zap_end: u64,
    /// Address of the per-CPU preempt count, before the CPU's offset; 0 where
    /// kallsyms does not have it, or where it is a member of the task.
    pub preempt_count: u64,
    /// Bit of the preempt count at which the hard interrupts begin, with NMIs above them.
    pub hardirq_shift: u64,
    /// Address of `__per_cpu_offset[]`; 0 where kallsyms does not have it.
    pub per_cpu_offset: u64,
    /// How far a hash is shifted to be that of a bucket of the ledger.
    pub ledger_shift: u32,
    /// 1 where `page_vma_mapped_walk` is hooked.
    pub ptes_hooked: u32,
    /// 1 where the rmap removal is hooked.
    pub zaps_hooked: u32,
    /// Records in the table of owners, less one.
    pub owners_mask: u32,
    /// `page.memcg_data`, `page.mem_cgroup` before 5.11.
    pub memcg: u32,
    /// `task_struct.group_leader`.
    pub task_leader: u32,
    /// `task_struct.start_boottime`.
    pub task_start: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `task_struct.cred`.
    pub task_cred: u32,
    /// `cred.uid`.
    pub cred_uid: u32,
    /// `inode.i_dentry`.
    pub inode_dentry: u32,
    /// `dentry.d_u`, of which `d_alias` is the list that `i_dentry` heads.
    pub dentry_alias: u32,
    /// `dentry.d_parent`.
    pub dentry_parent: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    /// `super_block.s_type`.
    pub sb_type: u32,
    /// `super_block.s_id`.
    pub sb_id: u32,
    /// `file_system_type.name`.
    pub fs_name: u32,
    /// `mem_cgroup.css.cgroup`.
    pub memcg_cgroup: u32,
    /// `obj_cgroup.memcg`.
    pub objcg_memcg: u32,
    /// `cgroup.self.cgroup`: points to its own cgroup.
    pub cgroup_self: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kn_id: u32,
    /// The preempt count in a `task_struct`, where it is there.
    pub task_preempt_count: u32,
    /// A page of memory has two to the power of so many bytes.
    pub page_shift: u32,
    /// BTF id of `struct page`, where a program may take any address for one; 0
    /// where it may not.
    pub page_type: u32,
    /// 1 where one function of the GUP family may call another (5.10 and 6.1 do, 6.12
    /// and later do not), or where it is not known that it does not.
    pub calls_nest: u32,
    /// 1 where a task may lose its CPU to another one inside the kernel.
    pub preemptible: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `task_struct.files`.
    pub task_files: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.max_fds`.
    pub fdt_max: u32,
    /// `fdtable.fd`.
    pub fdt_fd: u32,
    /// `file.private_data`.
    pub file_private: u32,
    /// `task_struct.io_uring`.
    pub task_io_uring: u32,
    /// `io_uring_task.registered_rings`.
    pub uring_rings: u32,
    /// Where a kernel thread's `task_struct` points to its `struct kthread`.
    pub task_kthread: u32,
    /// `kthread.data`.
    pub kthread_data: u32,
    /// `worker.current_work`.
    pub worker_work: u32,
    /// `worker.current_func`.
    pub worker_func: u32,
    /// `io_ring_ctx.exit_work`.
    pub ring_exit_work: u32,
    /// `io_ring_ctx.mm_account`.
    pub ring_mm: u32,
    /// Address of `io_ring_exit_work()`; 0 where kallsyms does not have it.
    pub ring_exit: u64,
    /// `task_struct.thread_pid`.
    pub task_pid: u32,
    /// `task_struct.pid_links[PIDTYPE_TGID]`.
    pub task_link: u32,
    /// `task_struct.exit_state`.
    pub task_exit_state: u32,
    /// `task_struct.signal`.
    pub task_signal: u32,
    /// `pid.level`.
    pub pid_level: u32,
    /// `pid.numbers`.
    pub pid_numbers: u32,
    /// `sizeof(struct upid)`.
    pub upid_size: u32,
    /// `upid.nr`.
    pub upid_nr: u32,
    /// `upid.ns`.
    pub upid_ns: u32,
    /// `pid.tasks[PIDTYPE_TGID]`.
    pub pid_tasks: u32,
    /// `pid_namespace.idr`'s topmost node (`idr.idr_rt.xa_head`).
    pub ns_idr: u32,
    /// `pid_namespace.parent`.
    pub ns_parent: u32,
    /// `xa_node.shift`.
    pub xa_shift: u32,
    /// `xa_node.slots`.
    pub xa_slots: u32,
    /// Bits of an index that one node of the tree takes.
    pub xa_bits: u32,
    /// `signal_struct.live`.
    pub signal_live: u32,
    /// `signal_struct.flags`.
    pub signal_flags: u32,
    /// `signal_struct.rlim[RLIMIT_MEMLOCK].rlim_cur`.
    pub signal_memlock: u32,
    /// `mm_struct.pinned_vm`.
    pub mm_pinned: u32,
    /// `mm_struct.locked_vm`.
    pub mm_locked: u32,
    /// `cred.user_ns`.
    pub cred_user_ns: u32,
    /// `user_namespace.level`.
    pub user_ns_level: u32,
    /// Address of `node_data[]`; 0 where kallsyms does not have it.
    pub node_data: u64,
    /// `pglist_data.vm_stat`.
    pub node_vm_stat: u32,
    /// `pglist_data.per_cpu_nodestats`.
    pub node_per_cpu: u32,
    /// `per_cpu_nodestat.vm_node_stat_diff`.
    pub node_diff: u32,
    /// `NR_FOLL_PIN_ACQUIRED`.
    pub nr_acquired: u32,
    /// `NR_FOLL_PIN_RELEASED`.
    pub nr_released: u32,
    /// `PG_swapcache`.
    pub pg_swapcache: u32,
    /// `kernfs_node.name`.
    pub kn_name: u32,
    /// `kernfs_node.parent`, `__parent` from Linux 6.14 on.
    pub kn_parent: u32,
    /// `task_struct.pid`, which is the thread's id.
    pub task_tid: u32,
    /// `task_struct.cgroups`, if from there `cgroup.kn` and its id can be reached.
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`.
    pub css_set_default: u32,
    /// `css_set.subsys[]` of the controllers of memory and of process ids.
    pub css_set_memory: u32,
    /// As said.
    pub css_set_pids: u32,
    /// `cgroup_subsys_state.cgroup`.
    pub css_cgroup: u32,
    /// `cgroup.root`.
    pub cgroup_root: u32,
    /// `cgroup_root.hierarchy_id`.
    pub root_hierarchy: u32,
    /// `cred.user`.
    pub cred_user: u32,
    /// `user_struct.locked_vm`.
    pub user_locked: u32,
    /// `user_namespace.owner`.
    pub user_ns_owner: u32,
    /// `task_struct.thread_info.status` (x86): whether a system call came by an entry for programs of
    /// 32 bits.
    pub task_status: u32,
    /// `signal_struct.nr_threads`: those that are not gone for good.
    pub signal_threads: u32,
    /// Up to a multiple of eight bytes.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Layout>() == 512 && align_of::<Layout>() == 8);
