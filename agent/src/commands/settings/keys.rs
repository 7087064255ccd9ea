//! The keys of a configuration file: the long flags of `pinscope run`, as the command line defines
//! them. A value is read as the flag's is, and refused in the same words.

use clap::{
    Arg, Command, CommandFactory as _,
    error::{ContextKind, ContextValue},
};

use super::file::Entry;
use crate::commands::cli::Cli;

/// Those that a running agent takes over; the others take a restart.
pub(in crate::commands) const LIVE: [&str; 6] = [
    "log",
    "off-file",
    "suspect-after",
    "summary",
    "writeback-calm",
    "writeback-hooks",
];

/// Flags that a file cannot have.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];

/// No name of a key is longer.
const MOST_LETTERS: usize = 64;

/// The flags that are keys, in the order of the help.
pub(in crate::commands) fn all() -> Vec<Arg> {
    let flags = run().get_arguments().cloned().collect::<Vec<_>>();
    flags.into_iter().filter(|it| name(it).is_some()).collect()
}

/// What a flag is called as a key; `None` if it is none.
pub(in crate::commands) fn name(flag: &Arg) -> Option<&str> {
    flag.get_long().filter(|it| !NO_KEYS.contains(it))
}

fn run() -> Command {
    let mut program = Cli::command();
    program.build();
    let run = program.find_subcommand("run");
    run.cloned().expect("the command line has this verb")
}

/// Why an entry cannot be used, if it cannot.
pub(super) fn fault(entry: &Entry, keys: &[Arg]) -> Option<String> {
    let Entry { key, value, .. } = entry;
    let Some(flag) = keys.iter().find(|it| name(it) == Some(key)) else {
        return Some(unknown(key, keys));
    };
    if !flag.get_action().takes_values() {
        let is_either = ["true", "false"].contains(&value.as_str());
        return (!is_either).then(|| format!("`{key}` is true or false, and not '{value}'"));
    }
    // Alone, so that nothing but its value can be wrong.
    let alone = Command::new("pinscope").arg(flag.clone());
    let error = alone
        .try_get_matches_from(["pinscope".to_owned(), format!("--{key}={value}")])
        .err()?;
    Some(in_short(&error))
}

/// What the command line would say, without what to do next.
pub(super) fn in_short(error: &clap::Error) -> String {
    let said = error.render().to_string();
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    let lines = said.lines().map(str::trim);
    let told = lines.take_while(|it| !it.starts_with("Usage:") && !it.starts_with("For more"));
    let told: Vec<&str> = told.filter(|it| !it.is_empty()).collect();
    told.join(" ")
}

fn unknown(key: &str, keys: &[Arg]) -> String {
    match nearest(key, keys) {
        Some(near) => format!("`{key}` is no setting; did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = keys.iter().filter_map(name).collect();
            format!("`{key}` is no setting; there are {}", names.join(", "))
        }
    }
}

/// What the command line would guess that is meant.
fn nearest<'a>(key: &str, keys: &'a [Arg]) -> Option<&'a str> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-".contains(it);
    if key.len() > MOST_LETTERS || !key.chars().all(is_plain) {
        return None;
    }
    let flag = format!("--{}", key.to_ascii_lowercase().replace('_', "-"));
    let guessed = |it: &ContextValue| match it {
        ContextValue::String(it) => Some(it.clone()),
        ContextValue::Strings(all) => all.first().cloned(),
        _ => None,
    };
    let near = match run().try_get_matches_from(["run", &flag]) {
        Err(error) => error.get(ContextKind::SuggestedArg).and_then(guessed),
        Ok(_) => None,
    };
    let near = near.unwrap_or(flag);
    let near = near.trim_start_matches('-').split([' ', '=']).next()?;
    keys.iter().filter_map(name).find(|it| *it == near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Option<String> {
        let entry = Entry {
            key: key.to_owned(),
            value: value.to_owned(),
            line: 1,
        };
        fault(&entry, &all())
    }

    #[test]
    fn every_flag_of_run_is_a_key_and_nothing_else_is() {
        let flags: Vec<Arg> = run().get_arguments().cloned().collect();
        let all = all();
        assert_eq!(flags.len(), all.len() + 2, "all but --config and --help");
        for wanted in ["log", "listen", "writeback-hooks", "suspect-after"] {
            assert!(all.iter().any(|it| name(it) == Some(wanted)), "{wanted}");
        }
        for live in LIVE {
            assert!(all.iter().any(|it| name(it) == Some(live)), "{live}");
        }
    }

    #[test]
    fn a_variable_is_called_as_its_key_is() {
        for flag in all() {
            let Some(variable) = flag.get_env() else {
                continue;
            };
            let key = name(&flag).unwrap().to_ascii_uppercase().replace('-', "_");
            assert_eq!(variable.to_str(), Some(format!("PINSCOPE_{key}").as_str()));
        }
    }

    #[test]
    fn a_default_is_a_value_that_is_taken() {
        for flag in all() {
            let key = name(&flag).unwrap();
            for value in flag.get_default_values() {
                assert_eq!(check(key, value.to_str().unwrap()), None, "{key}");
            }
        }
    }

    #[test]
    fn a_bad_value_is_refused_in_the_words_of_its_flag() {
        for (key, value, said) in [
            ("suspect-after", "0", "it has to be longer than nothing"),
            ("ring-bytes", "5000", "a power of two"),
            ("attach", "magic", "[possible values: auto, fentry, kprobe]"),
            ("listen", "nowhere", "invalid socket address syntax"),
            ("census-cpu-percent", "101", "101 is not in 0..=100"),
            ("web-config", "", "a value is required"),
            ("log", "pinscope=loud", "logger filter"),
            ("ledger-folios", "-5", "not a number of folios"),
        ] {
            let found = check(key, value).unwrap_or_default();
            assert!(found.contains(said), "{key}: {found}");
            assert!(found.contains(&format!("--{key}")), "{found}");
            assert!(!found.contains('\n'), "{found}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_the_nearest_one() {
        for (key, near) in [
            ("suspect_after", "suspect-after"),
            ("suspectafter", "suspect-after"),
            ("listn", "listen"),
            ("Listen", "listen"),
            ("ledger-folio", "ledger-folios"),
        ] {
            let found = check(key, "1").unwrap_or_default();
            assert!(found.contains(&format!("mean `{near}`?")), "{found}");
        }
        for key in ["", "x", "help", "config", "a=b", "\u{1b}[2J", "é"] {
            let found = check(key, "1").unwrap_or_default();
            assert!(found.contains("there are listen, "), "{key}: {found}");
        }
    }
}
