//! Which part of the kernel a pin belongs to, told by its call path.
//!
//! One table. A path is looked at from its innermost function outwards, and the
//! first function that a row names decides. To add a subsystem, add a row.

use super::symbols::Frame;

/// A subsystem and how its call paths are known.
struct Row {
    name: &'static str,
    /// Names of functions; one that ends in `*` stands for all that begin so.
    functions: &'static [&'static str],
    /// Modules, any function of them; `*` as above.
    modules: &'static [&'static str],
}

/// What no row names.
pub(crate) const OTHER: &str = "other";

/// What has no call path that could be read.
pub(crate) const UNKNOWN: &str = "unknown";

const ROWS: &[Row] = &[
    Row {
        name: "io_uring_buffers",
        functions: &[
            "io_sqe_buffer*",
            "io_sqe_buffers_register",
            "io_pin_pages",
            "io_buffer_validate",
        ],
        modules: &[],
    },
    Row {
        name: "rdma",
        functions: &["ib_umem_*", "ib_uverbs_*", "siw_umem_get", "rxe_mr_*"],
        modules: &[
            "ib_core",
            "ib_uverbs",
            "rdma_rxe",
            "siw",
            "mlx*_ib",
            "irdma",
            "bnxt_re",
            "efa",
            "hfi1",
            "qib",
        ],
    },
    Row {
        name: "vfio",
        functions: &["vfio_*", "vaddr_get_pfn*"],
        modules: &["vfio*"],
    },
    Row {
        name: "iommufd",
        functions: &["iopt_*", "pfn_reader_*", "iommufd_*"],
        modules: &["iommufd"],
    },
    Row {
        name: "vhost",
        functions: &["vhost_*"],
        modules: &["vhost*", "vdpa*"],
    },
    Row {
        name: "kvm",
        functions: &["kvm_*", "hva_to_pfn*", "sev_*"],
        modules: &["kvm*"],
    },
    Row {
        name: "af_xdp",
        functions: &["xdp_umem_*", "xsk_*"],
        modules: &[],
    },
    Row {
        name: "vmsplice",
        functions: &["__*_sys_vmsplice", "vmsplice_*", "iter_to_pipe"],
        modules: &[],
    },
    Row {
        name: "process_vm",
        functions: &["process_vm_rw*"],
        modules: &[],
    },
    Row {
        name: "zerocopy",
        functions: &[
            "msg_zerocopy_*",
            "skb_zerocopy_*",
            "__zerocopy_sg_from_iter",
            "zerocopy_sg_from_iter",
            "zerocopy_fill_skb_from_iter",
            "tcp_zerocopy_receive",
            "rds_*",
            "tls_sw_*",
        ],
        modules: &["rds*"],
    },
    Row {
        name: "udmabuf",
        functions: &["udmabuf_*"],
        modules: &["udmabuf"],
    },
    Row {
        name: "gpu",
        functions: &[
            "drm_*",
            "i915_gem_userptr*",
            "amdgpu_*",
            "radeon_*",
            "nouveau_*",
            "hmm_range_fault",
            "xe_*",
        ],
        modules: &[
            "drm*",
            "i915",
            "xe",
            "amdgpu",
            "radeon",
            "nouveau",
            "nvidia*",
            "habanalabs",
            "etnaviv",
            "panfrost",
        ],
    },
    Row {
        name: "media",
        functions: &["vb2_*", "videobuf_*", "get_vaddr_frames"],
        modules: &["videobuf*", "videodev", "ivtv"],
    },
    Row {
        name: "nfs",
        functions: &["nfs_direct_*", "nfs_file_direct_*"],
        modules: &["nfs"],
    },
    Row {
        name: "9p_fuse_ceph",
        functions: &["p9_*", "fuse_*", "ceph_direct_*"],
        modules: &["9p*", "9pnet*", "fuse", "ceph", "libceph"],
    },
    Row {
        name: "scsi_nvme_passthrough",
        functions: &[
            "blk_rq_map_user*",
            "bio_map_user_iov",
            "nvme_map_user_request",
            "sg_*",
            "nvme_user_cmd*",
        ],
        modules: &["sg", "st"],
    },
    Row {
        name: "crypto",
        functions: &["af_alg_*", "extract_iter_to_sg"],
        modules: &["af_alg", "algif_*"],
    },
    Row {
        name: "direct_io",
        functions: &[
            "iomap_dio_*",
            "__iomap_dio_rw",
            "__blockdev_direct_IO",
            "do_blockdev_direct_IO",
            "blkdev_direct_IO",
            "__blkdev_direct_IO*",
            "blkdev_read_iter",
            "btrfs_dio_*",
            "btrfs_direct_*",
            "bio_iov_iter_get_pages*",
            "dio_*",
        ],
        modules: &[],
    },
    Row {
        name: "futex",
        functions: &["get_futex_key", "futex_*"],
        modules: &[],
    },
    Row {
        name: "ptrace_procfs",
        functions: &[
            "access_remote_vm",
            "__access_remote_vm",
            "mem_rw",
            "access_process_vm",
            "environ_read",
            "get_mm_cmdline",
            "ptrace_*",
        ],
        modules: &[],
    },
    Row {
        name: "exec",
        functions: &[
            "get_arg_page",
            "copy_strings*",
            "copy_string_kernel",
            "remove_arg_zero",
        ],
        modules: &[],
    },
    Row {
        name: "uprobes",
        functions: &["uprobe_*", "is_trap_at_addr"],
        modules: &[],
    },
];

/// Names of all subsystems, for label sets that are complete from the start.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name).chain([OTHER, UNKNOWN])
}

/// The subsystem of a call path, innermost function first.
pub(crate) fn of(path: &[Frame]) -> &'static str {
    if path.is_empty() {
        return UNKNOWN;
    }
    path.iter()
        .find_map(|frame| ROWS.iter().find(|row| row.names(frame)))
        .map_or(OTHER, |row| row.name)
}

impl Row {
    fn names(&self, frame: &Frame) -> bool {
        let function = self.functions.iter().any(|it| matches(it, &frame.function));
        let module = frame
            .module
            .as_deref()
            .is_some_and(|module| self.modules.iter().any(|it| matches(it, module)));
        function || module
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    // The compiler's clones are the same function.
    let name = name.split('.').next().unwrap_or(name);
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, end)) => {
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(functions: &[&str]) -> Vec<Frame> {
        functions
            .iter()
            .map(|function| Frame {
                function: (*function).to_owned(),
                module: None,
            })
            .collect()
    }

    #[test]
    fn the_innermost_function_that_is_known_decides() {
        let through_io_uring = path(&[
            "iov_iter_extract_pages",
            "bio_iov_iter_get_pages",
            "iomap_dio_bio_iter",
            "ext4_file_read_iter",
            "io_read",
            "io_issue_sqe",
        ]);
        assert_eq!(of(&through_io_uring), "direct_io");
        let registered = path(&["io_pin_pages", "io_sqe_buffer_register", "do_syscall_64"]);
        assert_eq!(of(&registered), "io_uring_buffers");
    }

    #[test]
    fn a_module_decides_where_its_functions_are_not_listed() {
        let frames = [Frame {
            function: "some_new_function".to_owned(),
            module: Some("mlx5_ib".to_owned()),
        }];
        assert_eq!(of(&frames), "rdma");
    }

    #[test]
    fn a_clone_of_the_compiler_is_its_function() {
        assert_eq!(of(&path(&["process_vm_rw_core.isra.0"])), "process_vm");
    }

    #[test]
    fn what_no_row_names_is_other_and_no_path_is_unknown() {
        assert_eq!(of(&path(&["something_else"])), OTHER);
        assert_eq!(of(&[]), UNKNOWN);
    }

    #[test]
    fn a_subsystem_has_one_row() {
        let mut names: Vec<_> = names().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
