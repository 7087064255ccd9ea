//! Manual pages and shell completions are those of the command line. Leaves out what they say,
//! which the command line's own help texts do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{check_made, path};

const MANUALS: &str = "docs/man";
const COMPLETIONS: &str = "packaging/completions";

/// What every page ends with, after what clap knows.
const ENDS: [(&str, &str); 2] = [
    (
        "EXIT STATUS",
        "0: done. 1: it failed after it had begun, or may succeed when tried again. \
         2: it could not start, and trying again changes nothing.",
    ),
    (
        "SEE ALSO",
        "/usr/share/doc/pinscope/docs/operating.md says how to run pinscope on a host, and \
         glossary.md beside it explains the words.",
    ),
];

/// The command line with the verbs that its help shows.
fn shown() -> Command {
    let all = pinscope::command_line();
    let verbs = all.get_subcommands().filter(|it| !it.is_hide_set());
    Command::new("pinscope")
        .about(all.get_about().cloned().expect("it says what it is"))
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments())
        .subcommands(verbs)
}

/// Of the program and of each verb, by file name.
fn manuals() -> BTreeMap<String, String> {
    let mut program = without_help(shown());
    program.build();
    let mut manuals = BTreeMap::new();
    add(&program, &mut manuals);
    manuals
}

/// Without the verb that prints help, which has no page.
fn without_help(command: Command) -> Command {
    let command = command.disable_help_subcommand(true);
    command.mut_subcommands(without_help)
}

/// The page of a verb, and those of the verbs below it.
fn add(command: &Command, manuals: &mut BTreeMap<String, String>) {
    manuals.extend([manual(command)]);
    command.get_subcommands().for_each(|it| add(it, manuals));
}

fn manual(command: &Command) -> (String, String) {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text).expect("memory can be written");
    let mut ends = Roff::new();
    for (heading, line) in ENDS {
        ends.control("SH", [heading]).text([roman(line)]);
    }
    let text = String::from_utf8(text).expect("text");
    (page.get_filename(), text + &ends.to_roff())
}

/// By file name, as each shell looks for them.
fn completions() -> BTreeMap<String, String> {
    let of = |(shell, name): (Shell, &str)| {
        let mut text = Vec::new();
        generate(shell, &mut shown(), "pinscope", &mut text);
        (name.to_owned(), String::from_utf8(text).expect("text"))
    };
    let shells = [
        (Shell::Bash, "pinscope"),
        (Shell::Zsh, "_pinscope"),
        (Shell::Fish, "pinscope.fish"),
    ];
    shells.map(of).into()
}

/// The folder has these files and no other.
fn check(folder: &str, wanted: &BTreeMap<String, String>) {
    for (name, text) in wanted {
        check_made(&format!("{folder}/{name}"), text);
    }
    let files = fs::read_dir(path(folder))
        .expect("the folder is there")
        .flatten();
    let found: BTreeSet<String> = files
        .filter_map(|it| it.file_name().into_string().ok())
        .collect();
    assert_eq!(found, wanted.keys().cloned().collect(), "{folder}");
}

#[test]
fn there_is_a_manual_page_of_the_program_and_of_each_verb() {
    let manuals = manuals();
    assert!(manuals.len() > 5, "{:?}", manuals.keys());
    check(MANUALS, &manuals);
}

#[test]
fn bash_zsh_and_fish_complete_the_command_line() {
    check(COMPLETIONS, &completions());
}
