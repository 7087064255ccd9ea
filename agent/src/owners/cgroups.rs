//! From a cgroup's id to its path, and to the container or pod that the path names.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Where the unified hierarchy may be mounted.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Cgroups that are looked at in one search; a host with more names the rest by id.
const MOST: usize = 65_536;

/// The paths that are known. A cgroup's id is its directory's inode number.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    paths: HashMap<u64, String>,
}

impl Cgroups {
    /// The path of a cgroup below the hierarchy's root; of one that is gone, what
    /// it was when it was last seen, or else its id.
    pub(crate) fn path(&self, id: u64) -> String {
        self.paths
            .get(&id)
            .cloned()
            .unwrap_or_else(|| format!("cgroup {id}"))
    }

    /// Looks for cgroups that are not known yet, if any of `ids` is not.
    pub(crate) fn learn(&mut self, ids: impl IntoIterator<Item = u64>) {
        if ids.into_iter().all(|id| self.paths.contains_key(&id)) {
            return;
        }
        let Some(root) = MOUNTS
            .iter()
            .map(Path::new)
            .find(|it| it.join("cgroup.controllers").exists())
        else {
            return;
        };
        let mut folders = vec![root.to_owned()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            let Ok(about) = fs::metadata(&folder) else {
                continue;
            };
            self.paths.insert(about.ino(), below(root, &folder));
            seen += 1;
            if seen >= MOST {
                return;
            }
            folders.extend(children(&folder));
        }
    }

    /// Forgets paths that nothing needs.
    pub(crate) fn keep(&mut self, needed: impl Fn(u64) -> bool) {
        self.paths.retain(|id, _| needed(*id));
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|it| it.file_type().is_ok_and(|it| it.is_dir()))
        .map(|it| it.path())
        .collect()
}

fn below(root: &Path, folder: &Path) -> String {
    let rest = folder.strip_prefix(root).unwrap_or(folder);
    format!("/{}", rest.display())
}

/// The container or pod that a cgroup's path names: as Docker, Podman,
/// containerd, CRI-O, LXC, systemd-nspawn and Kubernetes write it.
pub(crate) fn container(path: &str) -> Option<String> {
    let mut pod = None;
    let mut container = None;
    for part in path.split('/') {
        let part = part
            .trim_end_matches(".scope")
            .trim_end_matches(".service")
            .trim_end_matches(".slice");
        if let Some(id) = part
            .rsplit_once("pod")
            .filter(|(before, _)| before.is_empty() || before.ends_with('-'))
            .map(|(_, id)| id)
            .filter(|id| id.len() >= 32)
        {
            pod = Some(id.replace('_', "-"));
        } else if let Some(name) = part
            .strip_prefix("lxc.payload.")
            .or_else(|| part.strip_prefix("machine-"))
        {
            container = Some(name.to_owned());
        } else {
            let id = part.rsplit_once('-').map_or(part, |(_, id)| id);
            if id.len() == 64 && id.bytes().all(|it| it.is_ascii_hexdigit()) {
                container = Some(id[..12].to_owned());
            }
        }
    }
    match (pod, container) {
        (Some(pod), Some(container)) => Some(format!("pod {pod}, container {container}")),
        (Some(pod), None) => Some(format!("pod {pod}")),
        (None, container) => container.map(|it| format!("container {it}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_and_pods_are_told_by_their_paths() {
        let docker = format!("/system.slice/docker-{ID}.scope");
        assert_eq!(
            container(&docker).as_deref(),
            Some("container 0123456789ab")
        );
        let plain = format!("/docker/{ID}");
        assert_eq!(container(&plain).as_deref(), Some("container 0123456789ab"));
        let kubernetes = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_1234_1234_1234_123456789012.slice/cri-containerd-{ID}.scope"
        );
        assert_eq!(
            container(&kubernetes).as_deref(),
            Some("pod 12345678-1234-1234-1234-123456789012, container 0123456789ab")
        );
        assert_eq!(
            container("/lxc.payload.web/init.scope").as_deref(),
            Some("container web")
        );
    }

    #[test]
    fn an_ordinary_path_names_no_container() {
        for path in [
            "/",
            "/system.slice/ssh.service",
            "/user.slice/user-1000.slice",
        ] {
            assert_eq!(container(path), None, "{path}");
        }
    }

    #[test]
    fn a_cgroup_that_was_never_seen_is_named_by_its_id() {
        assert_eq!(Cgroups::default().path(77), "cgroup 77");
    }
}
