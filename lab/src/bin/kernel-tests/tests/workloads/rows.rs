//! Each workload, with the name of its test and what is to be seen of it. It runs none.

use crate::books::Rollbacks;

/// A workload and what is to be seen of it.
pub(super) struct Row {
    /// The name of its test.
    pub(super) name: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) takes: Takes,
    pub(super) rollbacks: Rollbacks,
    pub(super) accounts: Accounts,
    /// A hook that it goes through and that not every mode has.
    pub(super) hook: Option<&'static str>,
}

/// What a workload makes the kernel take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Pins (`FOLL_PIN`) for this subsystem.
    Pins(&'static str),
    /// References (`FOLL_GET`), of which no hook sees that they are released.
    References,
    /// Pins from Linux 6.3 on, and before references that a hook sees released.
    AsDirectIo,
}

/// What the process's own account of pinned memory (`VmPin`) says of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accounts {
    /// All of it.
    VmPin,
    /// All, a part or nothing of it, as the kernel has it.
    ByKernel,
}

const fn pins(
    name: &'static str,
    subsystem: &'static str,
    arguments: &'static [&'static str],
) -> Row {
    Row {
        name,
        arguments,
        takes: Takes::Pins(subsystem),
        rollbacks: Rollbacks::Nothing,
        accounts: Accounts::ByKernel,
        hook: None,
    }
}

/// `process_vm_readv()` and its like.
const fn across(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        hook: Some("pin_user_pages_remote"),
        ..pins(name, "process_vm", arguments)
    }
}

const fn direct(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        takes: Takes::AsDirectIo,
        ..pins(name, "direct_io", arguments)
    }
}

const fn references(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row {
        takes: Takes::References,
        ..pins(name, "", arguments)
    }
}

pub(super) const ROWS: &[Row] = &[
    direct(
        "books_agree_over_direct_reads",
        &["direct-read", "--reads", "200"],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio",
        &["direct-read", "--engine", "aio"],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio_into_transparent_huge_pages",
        &[
            "direct-read",
            "--engine",
            "aio",
            "--memory",
            "thp",
            "--pages",
            "512",
        ],
    ),
    direct(
        "books_agree_over_direct_reads_by_aio_into_hugetlb_pages",
        &[
            "direct-read",
            "--engine",
            "aio",
            "--memory",
            "hugetlb",
            "--pages",
            "512",
        ],
    ),
    direct(
        "books_agree_over_direct_reads_by_io_uring",
        &["direct-read", "--engine", "uring", "--memory", "anon"],
    ),
    pins(
        "books_agree_over_fixed_buffers",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "512"],
    ),
    pins(
        "books_agree_over_fixed_buffers_that_a_worker_releases",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "300", "--release", "close"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_transparent_huge_pages",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "2048", "--memory", "thp"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_hugetlb_pages",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "2048", "--memory", "hugetlb"],
    ),
    pins(
        "books_agree_over_fixed_buffers_of_a_memfd",
        "io_uring_buffers",
        &["uring-fixed", "--pages", "300", "--memory", "memfd"],
    ),
    pins(
        "books_agree_over_the_memory_of_an_af_xdp_socket",
        "af_xdp",
        &["xdp-umem", "--pages", "256"],
    ),
    pins(
        "books_agree_over_af_xdp_memory_of_hugetlb_pages",
        "af_xdp",
        &["xdp-umem", "--pages", "1024", "--memory", "hugetlb"],
    ),
    pins(
        "books_agree_over_a_dma_buf_of_a_memfd",
        "udmabuf",
        &["udmabuf", "--pages", "128"],
    ),
    pins(
        "books_agree_over_the_log_of_a_vhost_device",
        "vhost",
        &["vhost-log"],
    ),
    across(
        "books_agree_over_pins_held_across_syncs",
        &["hold", "--pages", "1500"],
    ),
    across(
        "books_agree_over_400_calls_on_a_file",
        &["churn", "--memory", "file"],
    ),
    across(
        "books_agree_over_200_calls_on_transparent_huge_pages",
        &["churn", "--memory", "thp", "--calls", "50"],
    ),
    across(
        "books_agree_over_200_calls_on_hugetlb_pages",
        &["churn", "--memory", "hugetlb", "--calls", "50"],
    ),
    across(
        "books_agree_over_4000_calls_for_a_page",
        &[
            "churn", "--memory", "anon", "--pages", "1", "--calls", "1000",
        ],
    ),
    references(
        "references_of_a_pipe_are_counted_apart_from_pins",
        &["vmsplice", "--pages", "64"],
    ),
    references(
        "references_of_datagrams_are_counted_apart_from_pins",
        &["zerocopy", "--sends", "50"],
    ),
    // The kernel rolls pins back by itself here: fast pins that lost a race.
    Row {
        rollbacks: Rollbacks::Some,
        ..direct(
            "books_agree_over_a_race_of_unmapping_syncs_and_reads",
            &["zap-race"],
        )
    },
];

/// What takes a driver that kernels for clouds do not have.
pub(super) const ROWS_OF_DRIVERS: &[Row] = &[
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_memory_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "1000"],
        )
    },
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_transparent_huge_pages_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "2048", "--memory", "thp"],
        )
    },
    Row {
        accounts: Accounts::VmPin,
        ..pins(
            "books_agree_over_hugetlb_pages_registered_for_rdma",
            "rdma",
            &["rdma-region", "--pages", "2048", "--memory", "hugetlb"],
        )
    },
];
