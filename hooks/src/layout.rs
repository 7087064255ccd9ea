//! From facts to the layout that the probes read by: every offset and bit comes
//! from the running kernel's BTF, every address from its kallsyms.
//!
//! Pure. Which names a kernel uses for a thing is listed here and nowhere else.

use probe_abi::{ABSENT, Layout};

use crate::facts::Facts;

/// Members whose offsets are asked for.
pub const MEMBERS: &[(&str, &str)] = &[
    ("page", "flags"),
    ("page", "compound_head"),
    ("page", "compound_info"),
    ("page", "mapping"),
    ("page", "index"),
    ("page", "__folio_index"),
    ("page", "_mapcount"),
    ("page", "_refcount"),
    ("page", "compound_nr"),
    ("page", "hpage_pinned_refcount"),
    ("folio", "_large_mapcount"),
    ("folio", "_pincount"),
    ("folio", "_nr_pages"),
    ("folio", "_folio_nr_pages"),
    ("address_space", "host"),
    ("inode", "i_ino"),
    ("inode", "i_sb"),
    ("super_block", "s_dev"),
    ("bio", "bi_io_vec"),
    ("bio", "bi_vcnt"),
    ("bio", "bi_flags"),
    ("bio_vec", "bv_page"),
    ("bio_vec", "bv_len"),
    ("bio_vec", "bv_offset"),
    ("pcpu_hot", "preempt_count"),
    ("task_struct", "thread_info"),
    ("thread_info", "preempt_count"),
    ("page", "memcg_data"),
    ("page", "mem_cgroup"),
    ("task_struct", "group_leader"),
    ("task_struct", "start_boottime"),
    ("task_struct", "comm"),
    ("task_struct", "cred"),
    ("cred", "uid"),
    ("inode", "i_dentry"),
    ("dentry", "d_u"),
    ("dentry", "d_alias"),
    ("dentry", "d_parent"),
    ("dentry", "d_name"),
    ("qstr", "name"),
    ("super_block", "s_type"),
    ("super_block", "s_id"),
    ("file_system_type", "name"),
    ("mem_cgroup", "css"),
    ("obj_cgroup", "memcg"),
    ("cgroup", "self"),
    ("cgroup", "kn"),
    ("cgroup_subsys_state", "cgroup"),
    ("kernfs_node", "id"),
];

/// Structures whose sizes are asked for.
pub const SIZES: &[&str] = &["page", "bio_vec"];

/// Enumerators whose values are asked for.
pub const ENUMERATORS: &[&str] = &[
    "PG_head",
    "PG_private",
    "PG_writeback",
    "FOLL_LONGTERM",
    "BIO_NO_PAGE_REF",
    "BIO_PAGE_PINNED",
];

/// Data whose addresses are asked for.
pub const SYMBOLS: &[&str] = &["__preempt_count", "pcpu_hot", "__per_cpu_offset"];

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
    // Before folios, a compound page kept its pin count in its third page and
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
        per_cpu_offset: facts
            .symbols
            .get("__per_cpu_offset")
            .map_or(0, |it| it.start),
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
    };
    inside_the_page(&layout)?;
    inside_the_vector(&layout)?;
    Ok(layout)
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
