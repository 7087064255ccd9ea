//! From facts to the layout that the probes read by: every offset and bit comes
//! from the running kernel's BTF, every address from its kallsyms.
//!
//! Pure. Which names a kernel uses for a thing is listed here and nowhere else.

mod asked;

use probe_abi::{ABSENT, Layout};

use crate::facts::Facts;
pub use asked::{ENUMERATORS, MEMBERS, SIZES, SYMBOLS};

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A member, a structure or an enumerator, by its names.
    #[error("the kernel's BTF has no {0}")]
    NotInBtf(String),
    /// Bytes of a page of memory.
    #[error("its pages have {0} bytes, which is no power of two")]
    PageSize(u64),
}

/// Whether a program can read what each CPU has counted of pins and not handed in yet
/// (`per_cpu_nodestat.vm_node_stat_diff`), so that the counts are exact at any moment.
#[must_use]
pub fn shows_pending_pins(layout: &Layout) -> bool {
    let members = [
        layout.node_vm_stat,
        layout.node_per_cpu,
        layout.node_diff,
        layout.nr_acquired,
        layout.nr_released,
    ];
    layout.node_data != 0 && layout.per_cpu_offset != 0 && !members.contains(&ABSENT)
}

/// The layout, except for what the plan and the options add (`ledger_shift`,
/// `owners_mask`, `ptes_hooked`, `zaps_hooked`, `calls_nest`, the bounds of the zap) and what
/// loading finds out (`page_type`).
///
/// # Errors
///
/// What the kernel's BTF lacks.
pub fn layout(facts: &Facts) -> Result<Layout, LayoutError> {
    let member = |name: &str| facts.members.get(name).copied();
    let first = |names: &[&str]| names.iter().find_map(|name| member(name)).unwrap_or(ABSENT);
    let need = |names: &[&str]| match first(names) {
        ABSENT => Err(LayoutError::NotInBtf(names.join(" or "))),
        offset => Ok(offset),
    };
    // A member of a structure that is a member itself.
    let inside = |outer: &str, inner: &str| match (member(outer), member(inner)) {
        (Some(outer), Some(inner)) => outer + inner,
        _ => ABSENT,
    };
    // The first member on a way of pointers that is there to its end, or not at all.
    let way = |names: &[&str]| match names.iter().all(|name| member(name).is_some()) {
        true => first(names),
        false => ABSENT,
    };
    let after = |outer: &str, bytes: u32| member(outer).map_or(ABSENT, |it| it + bytes);
    // An element of an array by the type of process id that it is for.
    let element = |array: &str, of: &str| match (
        facts.sizes.get(of),
        facts.enumerators.get("PIDTYPE_TGID"),
    ) {
        (Some(size), Some(index)) => after(array, size * *index as u32),
        _ => ABSENT,
    };
    // A pointer of an array by the controller that it is for.
    let controller = |of: &str| match facts.enumerators.get(of) {
        Some(index) => after("css_set.subsys", 8 * *index as u32),
        None => ABSENT,
    };
    let address = |symbol: &str| facts.symbols.get(symbol).map_or(0, |it| it.start);
    let bit = |name: &str| facts.enumerators.get(name).map_or(ABSENT, |it| *it as u32);
    let need_bit = |name: &str| match bit(name) {
        ABSENT => Err(LayoutError::NotInBtf(name.to_owned())),
        bit => Ok(bit),
    };
    let size = |name: &str| {
        facts
            .sizes
            .get(name)
            .copied()
            .ok_or_else(|| LayoutError::NotInBtf(format!("struct {name}")))
    };
    let page_size = size("page")?;
    // Before folios, a large folio kept its pincount in its third page and
    // its number of pages in its second.
    let (pincount, pincount_min_order) = match member("folio._pincount") {
        Some(offset) => (offset, 1),
        None => (need(&["page.hpage_pinned_refcount"])? + 2 * page_size, 2),
    };
    let pages = match first(&["folio._nr_pages", "folio._folio_nr_pages"]) {
        ABSENT => need(&["page.compound_nr"])? + page_size,
        offset => offset,
    };
    let layout = Layout {
        page_size,
        flags: need(&["page.flags"])?,
        compound: need(&["page.compound_info", "page.compound_head"])?,
        compound_is_mask: u32::from(member("page.compound_info").is_some()),
        mapping: need(&["page.mapping"])?,
        index: need(&["page.__folio_index", "page.index"])?,
        mapcount: need(&["page._mapcount"])?,
        refcount: need(&["page._refcount"])?,
        large_mapcount: first(&["folio._large_mapcount"]),
        pincount,
        pincount_min_order,
        pages,
        pg_head: need_bit("PG_head")?,
        pg_private: need_bit("PG_private")?,
        pg_writeback: need_bit("PG_writeback")?,
        mapping_host: need(&["address_space.host"])?,
        inode_ino: need(&["inode.i_ino"])?,
        inode_sb: need(&["inode.i_sb"])?,
        sb_dev: need(&["super_block.s_dev"])?,
        bio_io_vec: need(&["bio.bi_io_vec"])?,
        bio_vcnt: need(&["bio.bi_vcnt"])?,
        bio_flags: need(&["bio.bi_flags"])?,
        bio_no_page_ref: bit("BIO_NO_PAGE_REF"),
        bvec_page: need(&["bio_vec.bv_page"])?,
        bvec_len: need(&["bio_vec.bv_len"])?,
        bvec_offset: need(&["bio_vec.bv_offset"])?,
        bvec_size: size("bio_vec")?,
        foll_longterm: bit("FOLL_LONGTERM"),
        zap_start: 0,
        zap_end: 0,
        preempt_count: preempt_count(facts),
        hardirq_shift: hardirq_shift(facts),
        per_cpu_offset: address("__per_cpu_offset"),
        ledger_shift: 0,
        ptes_hooked: 0,
        zaps_hooked: 0,
        owners_mask: 0,
        memcg: first(&["page.memcg_data", "page.mem_cgroup"]),
        task_leader: need(&["task_struct.group_leader"])?,
        task_start: need(&["task_struct.start_boottime"])?,
        task_comm: need(&["task_struct.comm"])?,
        task_cred: first(&["task_struct.cred"]),
        cred_uid: first(&["cred.uid"]),
        inode_dentry: first(&["inode.i_dentry"]),
        dentry_alias: first(&["dentry.d_alias", "dentry.d_u"]),
        dentry_parent: first(&["dentry.d_parent"]),
        dentry_name: inside("dentry.d_name", "qstr.name"),
        sb_type: first(&["super_block.s_type"]),
        sb_id: first(&["super_block.s_id"]),
        fs_name: first(&["file_system_type.name"]),
        memcg_cgroup: inside("mem_cgroup.css", "cgroup_subsys_state.cgroup"),
        objcg_memcg: first(&["obj_cgroup.memcg"]),
        cgroup_self: inside("cgroup.self", "cgroup_subsys_state.cgroup"),
        cgroup_kn: first(&["cgroup.kn"]),
        kn_id: first(&["kernfs_node.id"]),
        task_preempt_count: inside("task_struct.thread_info", "thread_info.preempt_count"),
        page_shift: page_shift(facts.page_bytes)?,
        page_type: 0,
        calls_nest: 1,
        preemptible: u32::from(facts.preemptible),
        task_mm: need(&["task_struct.mm"])?,
        task_flags: first(&["task_struct.flags"]),
        task_files: first(&["task_struct.files"]),
        files_fdt: first(&["files_struct.fdt"]),
        fdt_max: first(&["fdtable.max_fds"]),
        fdt_fd: first(&["fdtable.fd"]),
        file_private: first(&["file.private_data"]),
        task_io_uring: first(&["task_struct.io_uring"]),
        uring_rings: first(&["io_uring_task.registered_rings"]),
        // Linux 5.17 moved it (e32cf5dfbe22).
        task_kthread: first(&["task_struct.worker_private", "task_struct.set_child_tid"]),
        kthread_data: first(&["kthread.data"]),
        worker_work: first(&["worker.current_work"]),
        worker_func: first(&["worker.current_func"]),
        ring_exit_work: first(&["io_ring_ctx.exit_work"]),
        ring_mm: first(&["io_ring_ctx.mm_account"]),
        ring_exit: address("io_ring_exit_work"),
        task_pid: first(&["task_struct.thread_pid"]),
        task_tid: need(&["task_struct.pid"])?,
        task_link: element("task_struct.pid_links", "hlist_node"),
        task_exit_state: first(&["task_struct.exit_state"]),
        task_signal: first(&["task_struct.signal"]),
        pid_level: first(&["pid.level"]),
        pid_numbers: first(&["pid.numbers"]),
        upid_size: facts.sizes.get("upid").copied().unwrap_or(0),
        upid_nr: first(&["upid.nr"]),
        upid_ns: first(&["upid.ns"]),
        pid_tasks: element("pid.tasks", "hlist_head"),
        ns_idr: match inside("pid_namespace.idr", "idr.idr_rt") {
            ABSENT => ABSENT,
            tree => after("xarray.xa_head", tree),
        },
        ns_parent: first(&["pid_namespace.parent"]),
        xa_shift: first(&["xa_node.shift"]),
        xa_slots: first(&["xa_node.slots"]),
        xa_bits: tree_bits(facts),
        signal_live: first(&["signal_struct.live"]),
        signal_flags: first(&["signal_struct.flags"]),
        signal_memlock: after("signal_struct.rlim", RLIMIT_MEMLOCK * RLIMIT_BYTES),
        mm_pinned: first(&["mm_struct.pinned_vm"]),
        mm_locked: first(&["mm_struct.locked_vm"]),
        cred_user_ns: first(&["cred.user_ns"]),
        user_ns_level: first(&["user_namespace.level"]),
        node_data: address("node_data"),
        node_vm_stat: first(&["pglist_data.vm_stat"]),
        node_per_cpu: first(&["pglist_data.per_cpu_nodestats"]),
        node_diff: first(&["per_cpu_nodestat.vm_node_stat_diff"]),
        nr_acquired: bit("NR_FOLL_PIN_ACQUIRED"),
        nr_released: bit("NR_FOLL_PIN_RELEASED"),
        pg_swapcache: bit("PG_swapcache"),
        kn_name: first(&["kernfs_node.name"]),
        kn_parent: first(&["kernfs_node.__parent", "kernfs_node.parent"]),
        task_cgroups: way(&[
            "task_struct.cgroups",
            "css_set.dfl_cgrp",
            "cgroup.kn",
            "kernfs_node.id",
        ]),
        css_set_default: first(&["css_set.dfl_cgrp"]),
        css_set_memory: controller("memory_cgrp_id"),
        css_set_pids: controller("pids_cgrp_id"),
        css_cgroup: first(&["cgroup_subsys_state.cgroup"]),
        cgroup_root: first(&["cgroup.root"]),
        root_hierarchy: first(&["cgroup_root.hierarchy_id"]),
        cred_user: first(&["cred.user"]),
        user_locked: first(&["user_struct.locked_vm"]),
        user_ns_owner: first(&["user_namespace.owner"]),
        task_status: inside("task_struct.thread_info", "thread_info.status"),
        signal_threads: first(&["signal_struct.nr_threads"]),
        reserved: 0,
    };
    inside_the_page(&layout)?;
    inside_the_vector(&layout)?;
    Ok(layout)
}

/// `RLIMIT_MEMLOCK`, include/uapi/asm-generic/resource.h, and `sizeof(struct rlimit)`.
const RLIMIT_MEMLOCK: u32 = 8;
const RLIMIT_BYTES: u32 = 16;

/// Bits of an index that one node of an xarray takes (`XA_CHUNK_SHIFT`): it has as many
/// slots, one after the other, and its marks behind them.
fn tree_bits(facts: &Facts) -> u32 {
    let member = |name: &str| facts.members.get(name);
    let marks = member("xa_node.marks").or(member("xa_node.tags"));
    match (member("xa_node.slots"), marks) {
        (Some(slots), Some(marks)) if marks > slots => ((marks - slots) / 8).ilog2(),
        _ => 0,
    }
}

/// The probes copy one `struct page` of 64 bytes and read these from the copy.
fn inside_the_page(layout: &Layout) -> Result<(), LayoutError> {
    let mut words = vec![layout.flags, layout.compound, layout.mapping, layout.index];
    words.extend((layout.memcg != ABSENT).then_some(layout.memcg));
    let halves = [layout.mapcount, layout.refcount];
    let fits = layout.page_size == 64
        && words.iter().all(|it| it % 8 == 0 && *it <= 56)
        && halves.iter().all(|it| it % 4 == 0 && *it <= 60);
    if fits {
        Ok(())
    } else {
        Err(LayoutError::NotInBtf(
            "a struct page of 64 bytes with its members inside".to_owned(),
        ))
    }
}

/// They copy one entry of a bio's vector, of 16 bytes, and read these from the copy.
fn inside_the_vector(layout: &Layout) -> Result<(), LayoutError> {
    let halves = [layout.bvec_len, layout.bvec_offset];
    let fits = layout.bvec_size == 16
        && [0, 8].contains(&layout.bvec_page)
        && halves.iter().all(|it| it % 4 == 0 && *it <= 12);
    if fits {
        Ok(())
    } else {
        Err(LayoutError::NotInBtf(
            "a struct bio_vec of 16 bytes with its members inside".to_owned(),
        ))
    }
}

/// A page of memory is a power of two.
fn page_shift(bytes: u64) -> Result<u32, LayoutError> {
    if bytes.is_power_of_two() {
        Ok(bytes.ilog2())
    } else {
        Err(LayoutError::PageSize(bytes))
    }
}

/// Whether a program can find out what interrupts run on top of a task.
pub(crate) fn shows_interrupts(facts: &Facts) -> bool {
    let has = |member: &str| facts.members.contains_key(member);
    let of_task = has("task_struct.thread_info") && has("thread_info.preempt_count");
    let offsets = facts.symbols.get("__per_cpu_offset");
    let of_cpu = preempt_count(facts) != 0 && offsets.is_some_and(|it| it.start != 0);
    of_task || of_cpu
}

/// A count of how often interrupts were switched off came in between (Linux 7.3, commit
/// 9634d860ac15). No type tells of it, but the variable that goes with it.
fn hardirq_shift(facts: &Facts) -> u64 {
    if facts.symbols.contains_key("local_interrupt_disable_state") {
        24
    } else {
        16
    }
}

/// Where it is no member of the task, the preempt count is a per-CPU variable of
/// its own, or (6.2 to 6.14) a member of `pcpu_hot`.
fn preempt_count(facts: &Facts) -> u64 {
    if let Some(it) = facts.symbols.get("__preempt_count") {
        return it.start;
    }
    match (
        facts.symbols.get("pcpu_hot"),
        facts.members.get("pcpu_hot.preempt_count"),
    ) {
        (Some(hot), Some(offset)) => hot.start + u64::from(*offset),
        _ => 0,
    }
}
