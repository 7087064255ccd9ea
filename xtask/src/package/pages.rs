//! The pages that go into the package, copied with links that hold there: to where the package puts
//! a file, and text alone where it brings none.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;

use crate::paths;

/// Where the copies are, in the folders that they have in the repository.
const COPIES: &str = "target/package/pages";

/// What the package brings: each file of the repository, and each folder of such, with its place.
type Places = BTreeMap<PathBuf, PathBuf>;

/// Writes the copies of all pages that the manifest names.
pub(super) fn prepare(manifest: &toml::Table) -> anyhow::Result<()> {
    let places = places(&assets(manifest)?)?;
    let copies = paths::root().join(COPIES);
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    let pages = places
        .keys()
        .filter(|it| it.extension().is_some_and(|it| it == "md"));
    for page in pages {
        let text = fs::read_to_string(paths::root().join(page))?;
        let copy = copies.join(page);
        fs::create_dir_all(copy.parent().context("a page is in a folder")?)?;
        fs::write(copy, mended(&text, page, &places))?;
    }
    Ok(())
}

/// From where and to where, as the manifest has it.
fn assets(manifest: &toml::Table) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array();
    let pair = |it: &toml::Value| {
        let [from, to] = [it.get(0)?.as_str()?, it.get(1)?.as_str()?];
        let from = plain(&Path::new("packaging/debian").join(from));
        let from = from.strip_prefix(COPIES).unwrap_or(&from).to_owned();
        // cargo-deb compresses this one unasked.
        let suffix = if to.ends_with("/changelog") {
            ".gz"
        } else {
            ""
        };
        Some((from, PathBuf::from(format!("{to}{suffix}"))))
    };
    assets
        .and_then(|it| it.iter().map(pair).collect())
        .context("the manifest names no assets")
}

/// The files behind the manifest's patterns, of which it has one kind: `FOLDER/*.SUFFIX`.
fn places(assets: &[(PathBuf, PathBuf)]) -> anyhow::Result<Places> {
    let mut places = Places::new();
    for (from, to) in assets {
        let folder = from.parent().unwrap_or(Path::new(""));
        if from.file_stem().is_some_and(|it| it == "*") {
            let files = fs::read_dir(paths::root().join(folder))
                .with_context(|| format!("cannot read {}", folder.display()))?;
            for file in files {
                let name = PathBuf::from(file?.file_name());
                if name.extension() == from.extension() {
                    places.insert(folder.join(&name), to.join(&name));
                }
            }
            places.insert(folder.to_owned(), to.clone());
        } else {
            places.insert(from.clone(), to.clone());
        }
    }
    Ok(places)
}

/// The text of a page with its relative links as the package needs them.
fn mended(text: &str, page: &Path, places: &Places) -> String {
    let folder = page.parent().unwrap_or(Path::new(""));
    let place = |it: &Path| places.get(it).map(PathBuf::as_path);
    let beside = |page: &Path, path: &str| Some(plain(&place(page)?.parent()?.join(path)));
    let mut mended = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](")
        && let Some((link, behind)) = after.split_once(')')
        && let Some((ahead, words)) = before.rsplit_once('[')
    {
        let (path, part) = link.split_at(link.find('#').unwrap_or(link.len()));
        mended += ahead;
        mended += &match place(&plain(&folder.join(path))) {
            _ if path.is_empty() || path.contains(':') => format!("[{words}]({link})"),
            // Pages lie to each other as they do in the repository.
            Some(to) if beside(page, path).is_some_and(|it| it == to) => {
                format!("[{words}]({link})")
            }
            Some(to) => format!("[{words}](/{}{part})", to.display()),
            None => words.to_owned(),
        };
        rest = behind;
    }
    mended + rest
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Places, mended};

    #[test]
    fn links_lead_to_where_the_package_has_things_or_are_text() {
        let places: Places = [
            ("README.md", "usr/share/doc/it/README.md"),
            ("docs/a.md", "usr/share/doc/it/docs/a.md"),
            ("docs/b.md", "usr/share/doc/it/docs/b.md"),
            ("rules", "usr/share/it/rules/"),
            ("rules/one.yml", "usr/share/it/rules/one.yml"),
        ]
        .map(|(from, to)| (PathBuf::from(from), PathBuf::from(to)))
        .into();
        for (page, link, wanted) in [
            ("README.md", "docs/a.md#part", "[x](docs/a.md#part)"),
            ("docs/a.md", "b.md", "[x](b.md)"),
            ("docs/a.md", "#part", "[x](#part)"),
            (
                "docs/a.md",
                "https://example.org/",
                "[x](https://example.org/)",
            ),
            (
                "docs/a.md",
                "../rules/one.yml",
                "[x](/usr/share/it/rules/one.yml)",
            ),
            ("README.md", "rules", "[x](/usr/share/it/rules/)"),
            ("README.md", "LICENSE", "x"),
        ] {
            let text = format!("See [x]({link}), list[0] and (y).\n");
            assert_eq!(
                mended(&text, Path::new(page), &places),
                format!("See {wanted}, list[0] and (y).\n"),
                "{link}"
            );
        }
    }

    #[test]
    fn a_picture_keeps_its_mark() {
        let places = Places::from([
            ("README.md".into(), "doc/README.md".into()),
            ("a.svg".into(), "doc/a.svg".into()),
        ]);
        let text = "![a](a.svg)\n";
        assert_eq!(mended(text, Path::new("README.md"), &places), text);
    }
}
