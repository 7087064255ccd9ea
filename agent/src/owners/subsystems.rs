//! Which part of the kernel a pin belongs to, told by its call path.
//!
//! One table. A path is looked at from its innermost function outwards, and the
//! first function that a row names decides. To add a subsystem, add a row. A path
//! that no row names is that of the first module that it goes through.

use verdicts::shown;

use super::symbols::Frame;

/// A subsystem and how its call paths are known.
struct Row {
    name: &'static str,
    /// Names of functions; one that ends in `*` stands for all that begin so.
    functions: &'static [&'static str],
    /// Modules, any function of them; `*` as above.
    modules: &'static [&'static str],
}

/// How the subsystem of a path is called that no row names and that goes through a module:
/// with the module's name.
pub(crate) const MODULE: &str = "module:NAME";

/// Modules that are told apart so; the paths of others are [`OTHER`].
const MOST_MODULES: usize = 16;

/// Whose code is not a subsystem's: that of probes and their trampolines.
const NOT_MODULES: [&str; 3] = ["bpf", "__builtin__ftrace", "__builtin__kprobes"];

/// What no row names.
pub(crate) const OTHER: &str = "other";

/// What has no call path that could be read.
pub(crate) const UNKNOWN: &str = "unknown";

/// What was pinned before the agent started, and found by a census: nobody saw the call.
pub(crate) const PREEXISTING: &str = "preexisting";

const ROWS: &[Row] = &[
    Row {
        name: "zcrx",
        functions: &["io_zcrx_*", "io_register_zcrx*", "io_import_umem"],
        modules: &[],
    },
    Row {
        name: "io_uring_buffers",
        functions: &[
            "io_sqe_buffer*",
            "io_sqe_buffers_register",
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
    // Before the GPUs, one of whose modules is `nvidia`.
    Row {
        name: "nvidia_fs",
        functions: &[],
        modules: &["nvidia_fs"],
    },
    Row {
        name: "gdrdrv",
        functions: &[],
        modules: &["gdrdrv"],
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
        name: "zfs",
        functions: &[],
        modules: &["zfs", "spl"],
    },
    Row {
        name: "lustre",
        functions: &[],
        modules: &[
            "lustre", "lov", "osc", "mdc", "ptlrpc", "obdclass", "lnet", "ksocklnd", "ko2iblnd",
            "libcfs",
        ],
    },
    Row {
        name: "xpmem",
        functions: &[],
        modules: &["xpmem"],
    },
    Row {
        name: "smbdirect",
        functions: &["smbd_*", "smbdirect_*"],
        modules: &["smbdirect", "cifs", "ksmbd"],
    },
    Row {
        name: "mshv",
        functions: &["mshv_*"],
        modules: &["mshv*"],
    },
    Row {
        name: "gntdev",
        functions: &["gntdev_*", "privcmd_*"],
        modules: &["xen_gntdev", "xen_privcmd"],
    },
    Row {
        name: "virtiofs",
        functions: &["virtio_fs_*"],
        modules: &["virtiofs"],
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
    ROWS.iter()
        .map(|row| row.name)
        .chain([OTHER, UNKNOWN, PREEXISTING])
}

/// What several subsystems pin by, and whose it is where no other function of the path tells.
const SHARED: Row = Row {
    name: "io_uring_buffers",
    functions: &["io_pin_pages"],
    modules: &[],
};

/// The modules that are subsystems of their own, for want of a row.
#[derive(Debug, Default)]
pub(crate) struct Modules(Vec<&'static str>);

impl Modules {
    /// The subsystem of a call path, innermost function first.
    pub(crate) fn of(&mut self, path: &[Frame]) -> &'static str {
        if path.is_empty() {
            return UNKNOWN;
        }
        let row = path
            .iter()
            .find_map(|frame| ROWS.iter().find(|row| row.names(frame)));
        if let Some(row) = row.or_else(|| path.iter().any(|it| SHARED.names(it)).then_some(&SHARED))
        {
            return row.name;
        }
        let mut modules = path.iter().filter_map(|it| it.module.as_deref());
        let module = modules.find(|it| !NOT_MODULES.contains(it));
        module.map_or(OTHER, |it| self.named(it))
    }

    fn named(&mut self, module: &str) -> &'static str {
        let is_it = |it: &&&str| it.strip_prefix("module:") == Some(module);
        if let Some(known) = self.0.iter().find(is_it) {
            return known;
        }
        if self.0.len() >= MOST_MODULES {
            return OTHER;
        }
        // Kept for ever, like the names of rows: they are few.
        let name: &'static str = format!("module:{}", shown(module.as_bytes())).leak();
        self.0.push(name);
        name
    }
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
mod tests;
