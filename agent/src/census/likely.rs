//! What a process has open that can hold pins: a guess at why its memory is pinned, and told as one.

use std::{collections::BTreeSet, fs};

use super::folder;

/// How the target of a descriptor begins, and which part of the kernel then may hold pins; the
/// words are those of `pins --by subsystem`, where that has one.
const HOLDERS: &[(&str, &str)] = &[
    ("/dev/vfio/", "vfio"),
    ("/dev/iommu", "iommufd"),
    ("anon_inode:[iommufd]", "iommufd"),
    ("/dev/infiniband/uverbs", "rdma"),
    ("anon_inode:[io_uring]", "io_uring_buffers"),
    ("/dev/udmabuf", "udmabuf"),
    ("/dmabuf:", "dma_buf"),
    ("/dev/vhost-net", "vhost"),
    ("/dev/vhost-vsock", "vhost"),
    ("/dev/vhost-vdpa", "vdpa"),
    ("/dev/nvidia", "gpu"),
    ("/dev/kfd", "gpu"),
    ("/dev/dri/", "gpu"),
    ("/dev/video", "media"),
    ("/dev/sev", "kvm"),
];

/// Parts of the kernel that may hold pins for a process; `None` where it is not shown what it has
/// open.
pub(super) fn holders(pid: u32) -> Option<BTreeSet<&'static str>> {
    let links = fs::read_dir(folder::of(pid).join("fd")).ok()?;
    let targets = links
        .flatten()
        .filter_map(|it| fs::read_link(it.path()).ok());
    let holder = |target: String| {
        let known = HOLDERS.iter().find(|(begin, _)| target.starts_with(begin));
        known.map(|(_, holder)| *holder)
    };
    Some(
        targets
            .filter_map(|it| holder(it.to_string_lossy().into_owned()))
            .collect(),
    )
}
