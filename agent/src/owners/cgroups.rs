//! From a cgroup's id to its path, and to the container or pod that the path names.
//!
//! Names come from the kernel, with the id. Where it does not tell, the unified hierarchy is
//! searched for a directory of that inode number; ids of other hierarchies, which count for
//! themselves, are never looked for in it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::names::CgroupName;
use verdicts::shown;

/// Where the unified hierarchy may be mounted.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Cgroups that are looked at in one search; a host with more names the rest by id.
const MOST: usize = 65_536;

/// Between two searches.
const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// The paths that are known.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    paths: HashMap<u64, String>,
    /// What was searched for and not found.
    missing: HashSet<u64>,
    searched: Option<Duration>,
}

impl Cgroups {
    /// The path of a cgroup below the hierarchy's root; of one that is gone, what it was when
    /// it was last seen.
    pub(crate) fn path(&self, id: u64) -> Option<&str> {
        self.paths.get(&id).map(String::as_str)
    }

    /// Takes note of a name; whether it is new.
    pub(crate) fn learn(&mut self, cgroup: &CgroupName) -> bool {
        if self.path(cgroup.id) == Some(&cgroup.path) {
            return false;
        }
        self.paths.insert(cgroup.id, cgroup.path.clone());
        true
    }

    /// Forgets all but these, and searches for those that have no path, if it is time to.
    /// Whether any was found.
    pub(crate) fn look_for(&mut self, wanted: &HashSet<u64>, now: Duration) -> bool {
        self.paths.retain(|id, _| wanted.contains(id));
        self.missing.retain(|id| wanted.contains(id));
        let is_unknown = |id: &&u64| !self.paths.contains_key(id) && !self.missing.contains(id);
        let mut unknown: HashSet<u64> = wanted.iter().filter(is_unknown).copied().collect();
        let is_due = self.searched.is_none_or(|it| now >= it + SEARCH_EVERY);
        if unknown.is_empty() || !is_due {
            return false;
        }
        self.searched = Some(now);
        let found = search(&mut unknown);
        // Directories come later than processes that are in them only in another namespace.
        self.missing.extend(unknown);
        let any = !found.is_empty();
        self.paths.extend(found);
        any
    }
}

/// The paths of these, as far as they are found, which then are no longer in `ids`.
fn search(ids: &mut HashSet<u64>) -> Vec<(u64, String)> {
    let is_there = |it: &&Path| it.join("cgroup.controllers").exists();
    let Some(root) = MOUNTS.iter().map(Path::new).find(is_there) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        if ids.is_empty() || seen >= MOST {
            break;
        }
        let Ok(about) = fs::metadata(&folder) else {
            continue;
        };
        seen += 1;
        if ids.remove(&about.ino()) {
            found.push((about.ino(), below(root, &folder)));
        }
        folders.extend(children(&folder));
    }
    found
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
    format!("/{}", shown(rest.as_os_str().as_bytes()))
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
    fn what_is_not_found_is_not_searched_for_again_and_what_is_not_wanted_is_forgotten() {
        let mut cgroups = Cgroups::default();
        let nowhere = u64::MAX;
        let wanted = HashSet::from([nowhere]);
        assert!(!cgroups.look_for(&wanted, Duration::ZERO));
        assert_eq!(cgroups.path(nowhere), None);
        let later = SEARCH_EVERY * 2;
        cgroups.look_for(&wanted, later);
        assert_eq!(cgroups.searched, Some(Duration::ZERO));
        let name = CgroupName {
            hierarchy: Some(0),
            id: nowhere,
            path: "/a".to_owned(),
        };
        assert!(cgroups.learn(&name) && !cgroups.learn(&name));
        assert_eq!(cgroups.path(nowhere), Some("/a"));
        cgroups.look_for(&HashSet::new(), later);
        assert_eq!(cgroups.path(nowhere), None);
    }

    #[test]
    fn fuzz_cgroup_path() {
        crate::fuzz::bytes(&[format!("/kubepods.slice/kubepods-pod12345678_1234_1234_1234_123456789012.slice/cri-{ID}.scope").as_bytes(), b"/lxc.payload.web/init.scope", "/pod\u{e9}".as_bytes()], |it| {
            drop(container(&String::from_utf8_lossy(it)));
        });
    }
}
