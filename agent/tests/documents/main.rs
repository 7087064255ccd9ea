//! Documents, dashboards and packaging say what the code says. Leaves out whether
//! alerts fire when they should, which `promtool` tests.

mod all_metrics;
mod architecture;
mod dashboards;
mod field_cases;
mod glossary;
mod manuals;
mod names;
mod packaging;
mod pages;
mod promql;
mod security;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Every crate: its modules are on the map of the code, its source is held to the glossary.
const CRATES: [&str; 10] = [
    "agent",
    "estimator",
    "hooks",
    "lab",
    "ledger",
    "model",
    "probe-abi",
    "probe-ebpf",
    "verdicts",
    "xtask",
];

/// A path in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A file of the repository.
fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file that is made of the code: what is there is what the code makes of it now. With
/// `PINSCOPE_WRITE_DOCS` in the environment it is written first, at once for those who read it.
fn check_made(name: &str, wanted: &str) {
    let place = path(name);
    let found = fs::read_to_string(&place).ok();
    if found.as_deref() == Some(wanted) {
        return;
    }
    assert!(
        env::var_os("PINSCOPE_WRITE_DOCS").is_some(),
        "{name} is not what the code makes of it: \
         PINSCOPE_WRITE_DOCS=1 cargo test -p pinscope --test documents"
    );
    let draft = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.replace('/', "-"));
    fs::create_dir_all(place.parent().expect("it is in a folder")).expect("a folder can be made");
    fs::write(&draft, wanted).expect("a draft can be written");
    fs::rename(&draft, &place).expect("it can be put in its place");
}

/// What stands between `<!-- NAME: ... -->` and `<!-- /NAME -->`.
fn marked<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("<!-- {name}:"))
        .unwrap_or_else(|| panic!("no mark {name}"));
    let (_, rest) = rest.split_once("-->\n").expect("a mark ends");
    let (inside, _) = rest
        .split_once(&format!("<!-- /{name} -->"))
        .unwrap_or_else(|| panic!("no end of mark {name}"));
    inside
}
