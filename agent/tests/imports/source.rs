//! What the files of a crate import from each other. Tests are left out: they may look anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemMod, ItemUse, Macro, UseTree, Visibility,
    visit::{self, Visit},
};

/// A module by its path from the crate's root, such as `kernel/facts`; the root itself is empty.
pub(crate) type Module = String;

/// Which modules each module imports from. A parent imports its children: it declares them.
pub(crate) type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// The imports of the crate whose root file this is. What a module passes on is imported from where
/// it comes from.
pub(crate) fn imports(root: &Path) -> Imports {
    let mut files = BTreeMap::new();
    find(root, String::new(), &mut files);
    let mut house = House {
        modules: files.keys().cloned().collect(),
        passed_on: BTreeMap::new(),
    };
    for (module, sources) in &files {
        for item in sources.iter().flat_map(|it| &it.items) {
            if let Item::Use(it) = item
                && !matches!(it.vis, Visibility::Inherited)
            {
                house.pass_on(module, &it.tree);
            }
        }
    }
    files
        .iter()
        .map(|(module, sources)| {
            let mut reader = Reader {
                module,
                house: &house,
                found: BTreeSet::new(),
            };
            sources.iter().for_each(|it| reader.visit_file(it));
            reader.found.remove(module);
            (module.clone(), reader.found)
        })
        .collect()
}

/// What there is to import.
struct House {
    modules: BTreeSet<Module>,
    /// Of a module and a name that it passes on: the path to the thing.
    passed_on: BTreeMap<(Module, String), Vec<String>>,
}

impl House {
    fn pass_on(&mut self, module: &str, tree: &UseTree) {
        for (path, name) in paths(tree) {
            self.passed_on.insert((module.to_owned(), name), path);
        }
    }

    /// The module that a path leads to, as seen from `module`; `None` for one of another crate.
    fn lead(&self, module: &str, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let (mut at, rest) = match first.as_str() {
            "crate" => (String::new(), rest),
            "self" => (module.to_owned(), rest),
            "super" => (module.to_owned(), path),
            name if self.modules.contains(&join(module, name)) => (module.to_owned(), path),
            _ => return None,
        };
        for segment in rest {
            let next = match segment.as_str() {
                "super" => at.rsplit_once('/').map_or("", |it| it.0).to_owned(),
                name => join(&at, name),
            };
            if next.is_empty() || self.modules.contains(&next) {
                at = next;
                continue;
            }
            // What is no module is a thing in this one, or from elsewhere.
            let passed_on = self.passed_on.get(&(at.clone(), segment.clone()));
            return match passed_on {
                Some(path) => self.lead(&at, path).or(Some(at)),
                None => Some(at),
            };
        }
        Some(at)
    }
}

/// Every path of a `use`, and the name by which it is known after.
fn paths(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    let with = |name: &syn::Ident, mut rest: Vec<(Vec<String>, String)>| {
        for (path, _) in &mut rest {
            path.insert(0, name.to_string());
        }
        rest
    };
    match tree {
        UseTree::Path(it) => with(&it.ident, paths(&it.tree)),
        UseTree::Name(it) => vec![(vec![it.ident.to_string()], it.ident.to_string())],
        UseTree::Rename(it) => vec![(vec![it.ident.to_string()], it.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), String::new())],
        UseTree::Group(it) => it.items.iter().flat_map(paths).collect(),
    }
}

/// Reads a file and those of the modules that it declares. A module may have a file for each
/// flavour of the crate.
fn find(file: &Path, module: Module, files: &mut BTreeMap<Module, Vec<syn::File>>) {
    let text = fs::read_to_string(file).unwrap_or_else(|it| panic!("{}: {it}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|it| panic!("{}: {it}", file.display()));
    let folder = file.parent().expect("a file is in a folder");
    let stem = file.file_stem().expect("a file has a name");
    let children = match stem.to_str() {
        Some("main" | "lib" | "mod") => folder.to_owned(),
        _ => folder.join(stem),
    };
    let mut declared = Vec::new();
    for item in &parsed.items {
        if let Item::Mod(it) = item
            && it.content.is_none()
            && !is_test(&it.attrs)
        {
            let name = it.ident.to_string();
            let mut sources: Vec<_> = flavours(it).iter().map(|at| folder.join(at)).collect();
            let usual = children.join(format!("{name}.rs"));
            if usual.exists() || sources.is_empty() {
                sources.push(usual);
            }
            declared.push((join(&module, &name), sources));
        }
    }
    files.entry(module).or_default().push(parsed);
    for (child, sources) in declared {
        for source in sources {
            find(&source, child.clone(), files);
        }
    }
}

/// Of each `#[cfg_attr(.., path = "..")]`, the path.
fn flavours(module: &ItemMod) -> Vec<PathBuf> {
    let attributes = module.attrs.iter();
    let conditional = attributes.filter(|it| it.path().is_ident("cfg_attr"));
    let path = |it: &Attribute| {
        let tokens = it.meta.require_list().ok()?.tokens.to_string();
        let (_, path) = tokens.split_once("path = \"")?;
        Some(PathBuf::from(path.split('"').next()?))
    };
    conditional.filter_map(path).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("test")
            || it.path().is_ident("cfg")
                && it
                    .meta
                    .require_list()
                    .is_ok_and(|it| it.tokens.to_string() == "test")
    })
}

fn join(module: &str, name: &str) -> Module {
    match module {
        "" => name.to_owned(),
        module => format!("{module}/{name}"),
    }
}

/// Collects what one module imports.
struct Reader<'a> {
    module: &'a str,
    house: &'a House,
    found: BTreeSet<Module>,
}

impl Reader<'_> {
    fn note(&mut self, path: &[String]) {
        self.found.extend(self.house.lead(self.module, path));
    }

    /// Paths in what is handed to a macro, which has a grammar of its own.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(it) => {
                    let (begins, goes_on) = (it == "crate" || it == "super", !path.is_empty());
                    if begins || goes_on {
                        path.push(it.to_string());
                    }
                }
                TokenTree::Punct(it) if it.as_char() == ':' => {}
                TokenTree::Group(it) => {
                    self.note(&path);
                    path.clear();
                    self.note_tokens(it.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note(&path);
                    path.clear();
                }
            }
        }
        self.note(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(it) => &it.attrs,
            Item::Impl(it) => &it.attrs,
            Item::Mod(it) => &it.attrs,
            Item::Use(it) => &it.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        match &item.content {
            None => {
                self.found
                    .insert(join(self.module, &item.ident.to_string()));
            }
            Some(_) => visit::visit_item_mod(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (path, _) in paths(&item.tree) {
            self.note(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        // A name alone is this module's own, or was imported.
        if ["crate", "super"].contains(&segments[0].as_str()) {
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, it: &'ast Macro) {
        self.note_tokens(it.tokens.clone());
        visit::visit_macro(self, it);
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
