//! Modules of a kernel with everything that they need, in load order, unpacked.
//! Leaves out parameters, aliases and firmware.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::store::Kernel;
use crate::{process, refused};

/// A module ready to be loaded.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) object: Vec<u8>,
}

/// The named modules and what they depend on, dependencies first. Built-in ones need no loading.
pub(crate) fn closure(kernel: &Kernel, names: &[String]) -> anyhow::Result<Vec<Module>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let tree = kernel.modules.as_deref().ok_or_else(|| {
        refused(format!(
            "the archive no longer has the modules of kernel {}",
            kernel.release
        ))
    })?;
    let mut search = Search {
        tree: Tree::read(tree)?,
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    for name in names {
        search.add(&normal(name), &kernel.release)?;
    }
    Ok(search.found)
}

/// Which of `names` the kernel has as modules that are to be had, or built in.
pub(crate) fn at_hand(kernel: &Kernel, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let Some(tree) = kernel.modules.as_deref() else {
        return Ok(Vec::new());
    };
    let tree = Tree::read(tree)?;
    let has = |name: &&&str| tree.files.contains_key(**name) || tree.built_in.contains(**name);
    Ok(names
        .iter()
        .filter(has)
        .map(|name| (*name).to_owned())
        .collect())
}

struct Search {
    tree: Tree,
    seen: BTreeSet<String>,
    found: Vec<Module>,
}

impl Search {
    fn add(&mut self, name: &str, release: &str) -> anyhow::Result<()> {
        if self.tree.built_in.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let path = self
            .tree
            .files
            .get(name)
            .ok_or_else(|| refused(format!("kernel {release} has no module {name}")))?;
        let object = read(path)?;
        for dependency in depends(&object) {
            self.add(&dependency, release)?;
        }
        self.found.push(Module {
            name: name.to_owned(),
            object,
        });
        Ok(())
    }
}

struct Tree {
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

impl Tree {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let list = fs::read_to_string(folder.join("modules.builtin"))
            .context("the module tree does not say what is built in")?;
        let built_in = list
            .lines()
            .filter_map(|line| module_name(Path::new(line)))
            .collect();
        let mut files = BTreeMap::new();
        walk(&folder.join("kernel"), &mut files)?;
        Ok(Self { files, built_in })
    }
}

fn walk(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.path()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file
        .strip_suffix(".xz")
        .unwrap_or(file)
        .strip_suffix(".ko")?;
    Some(normal(stem))
}

/// The kernel takes dashes for underscores in module names.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        return process::output(
            Command::new("xz")
                .args(["--decompress", "--stdout"])
                .arg(path),
        );
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The modules that this one names in its `.modinfo`: strings `depends=a,b`, each ended by a zero.
fn depends(object: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = object.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let rest = &object[at + KEY.len()..];
    let value = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(normal)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_object() {
        let object = b"\x7fELF..license=GPL\0depends=virtio,virtio-ring\0retpoline=Y\0";
        assert_eq!(depends(object), ["virtio", "virtio_ring"]);
    }

    #[test]
    fn a_module_that_needs_nothing_has_an_empty_list() {
        assert!(depends(b"license=GPL\0depends=\0name=loop\0").is_empty());
        assert!(depends(b"license=GPL\0").is_empty());
    }

    #[test]
    fn a_modules_name_is_its_files_in_the_kernels_spelling() {
        assert_eq!(
            module_name(Path::new("kernel/fs/xfs/xfs.ko.xz")).as_deref(),
            Some("xfs")
        );
        assert_eq!(
            module_name(Path::new("a/null-blk.ko")).as_deref(),
            Some("null_blk")
        );
        assert_eq!(module_name(Path::new("a/modules.order")), None);
    }
}
