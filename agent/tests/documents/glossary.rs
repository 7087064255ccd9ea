//! Each thing has one word: documents, the program's own texts, source and its files' names use none
//! that docs/glossary.md rejects. CHANGELOG.md may, because it tells of old names.

use std::fs;

use crate::{CRATES, names::names, path, read};

/// Pages that are held to it besides those of docs.
const FILES: [&str; 10] = [
    "README.md",
    "SECURITY.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "dashboards/pinscope-estimators.json",
    "dashboards/pinscope-host.json",
    "dashboards/rules.yml",
    "packaging/pinscope.toml",
    "packaging/pinscope.service",
    "packaging/pinscope.sysctl.conf",
];

/// The last cells of the glossary's rows: what is in code there.
fn rejected() -> Vec<String> {
    let glossary = read("docs/glossary.md");
    let rows = glossary.lines().filter_map(|it| it.strip_prefix("| "));
    let cells = rows.filter_map(|it| it.trim_end_matches('|').rsplit_once('|'));
    let words: Vec<String> = cells
        .flat_map(|(_, last)| last.split('`').skip(1).step_by(2))
        .map(words_of)
        .collect();
    assert!(words.len() > 20, "{words:?}");
    words
}

/// Lower-case words between single spaces, with one at each end. A name is as many words as it has
/// parts, and an option keeps its dashes.
fn words_of(text: &str) -> String {
    let mut words = " ".to_owned();
    for it in text.to_lowercase().chars() {
        let is_word = it.is_ascii_alphanumeric() || it == '-';
        match is_word {
            true => words.push(it),
            false if words.ends_with(' ') => {}
            false => words.push(' '),
        }
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

/// Rejected words that a text uses.
fn used<'a>(text: &str, rejected: &'a [String]) -> Vec<&'a str> {
    let text = words_of(text);
    let found = rejected.iter().filter(|it| text.contains(it.as_str()));
    found.map(|it| it.trim()).collect()
}

/// Without what was measured, whose programs have the names of their time.
fn unmeasured(page: &str) -> String {
    let mut parts = page.split("<!-- cost ");
    let first = parts.next().unwrap_or_default().to_owned();
    let after = parts.filter_map(|it| it.split_once("<!-- /cost ").map(|(_, it)| it));
    after.fold(first, |page, it| page + it)
}

/// Every page, and where it is.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(path("docs"))
        .expect("there are docs")
        .flatten();
    let docs = docs.map(|it| format!("docs/{}", it.file_name().to_string_lossy()));
    let pages = docs.filter(|it| it.ends_with(".md") && it != "docs/glossary.md");
    let pages = pages.chain(FILES.map(str::to_owned));
    pages
        .map(|name| (unmeasured(&read(&name)), name))
        .map(|(text, name)| (name, text))
        .collect()
}

#[test]
fn no_page_uses_a_word_that_the_glossary_rejects() {
    let rejected = rejected();
    let pages = pages();
    assert!(pages.len() > FILES.len() + 4);
    for (name, text) in pages {
        for (number, line) in text.lines().enumerate() {
            let found = used(line, &rejected);
            assert!(found.is_empty(), "{name}:{}: {found:?}", number + 1);
        }
        // Those that a line ends in.
        let found = used(&text, &rejected);
        assert!(
            found.is_empty(),
            "{name}: {found:?}, over the end of a line"
        );
    }
}

#[test]
fn no_help_text_metric_or_cause_uses_one() {
    let rejected = rejected();
    let names = names();
    let helps = names.commands.iter().map(|it| (&it.name, it.help.clone()));
    let metrics = names.metrics.iter().map(|it| {
        let values = it.labels.iter().filter_map(|it| it.values.as_ref());
        let values: Vec<&str> = values.flatten().map(String::as_str).collect();
        (
            &it.name,
            format!("{} {} {}", it.name, it.help, values.join(" ")),
        )
    });
    let causes = names.losses.iter().chain(&names.doubts);
    let causes = causes.map(|it| (it, it.clone()));
    for (name, text) in helps.chain(metrics).chain(causes) {
        let found = used(&text, &rejected);
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

/// Every file of source below a folder, and where it is.
fn source(folder: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(path(folder)).expect("a folder").flatten() {
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a kind").is_dir() {
            source(&name, found);
        } else if name.ends_with(".rs") {
            found.push((read(&name), name));
        }
    }
}

#[test]
fn no_source_uses_one() {
    let rejected = rejected();
    let mut files = Vec::new();
    CRATES.iter().for_each(|it| source(it, &mut files));
    assert!(files.len() > 300, "{}", files.len());
    let mut wrong = Vec::new();
    for (text, name) in files {
        // Where the words are that they are not to use.
        if name.ends_with(file!()) {
            continue;
        }
        // A name in code is one word here, a file's name is as many as it has parts.
        let text = text.replace('_', "").replace("///", "").replace("//", "");
        let found = used(&format!("{name} {text}"), &rejected);
        if !found.is_empty() {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_rejected_word_is_found_whole_in_any_case_and_in_names() {
    let rejected = rejected();
    let finds = |text| !used(text, &rejected).is_empty();
    assert!(finds("pins are Undone by the kernel"));
    assert!(finds("pinscope_pages_undone_total"));
    assert!(finds("it is given\n  back"));
    assert!(finds("`cargo xtask run --for 30s`"));
    assert!(!finds("it is done for the kernel"));
    assert!(!finds("backups are given"));
}
