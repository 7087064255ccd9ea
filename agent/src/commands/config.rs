//! `pinscope config`: whether a configuration file can be used, and what is in force with it. Also the
//! file that is shipped, which has every setting as a comment.

use std::fmt::Write as _;

use clap::Arg;
use serde_json::json;

use super::{
    cli::CheckOptions,
    failure::{Done, Failure},
    settings::{
        Examined, Origin, Setting, Settings,
        keys::{self, LIVE},
    },
};
use crate::{
    error::AgentError,
    views::output::{self, Format},
};

/// Prints what is wrong with the file; `Err` if anything is.
pub(super) fn check(options: &CheckOptions) -> Done {
    let file = Examined::read(options.file.as_deref()).map_err(Failure::Start)?;
    match options.format {
        Format::Text => output::print(&checked(&file)),
        Format::Json => output::print(&json!({
            "file": file.path.display().to_string(),
            "is_there": file.is_there,
            "usable": file.faults.is_empty(),
            "faults": file.faults,
        })),
    }
    .map_err(Failure::Running)?;
    match file.faults.len() {
        0 => Ok(()),
        some => Err(Failure::Start(AgentError::Faulty(some, file.path))),
    }
}

fn checked(file: &Examined) -> String {
    let path = file.path.display();
    let faults = file.faults.iter();
    let lines: Vec<_> = faults
        .map(|it| format!("{path}:{}: {}", it.line, it.why))
        .collect();
    match lines.as_slice() {
        [] => file.to_string(),
        some => some.join("\n"),
    }
}

/// Prints what is in force, and from where.
pub(super) fn show(settings: &Settings, format: Format) -> Done {
    match format {
        Format::Text => output::print(&shown(settings)),
        Format::Json => {
            let all = settings.all.iter().map(|it| {
                let (from, line) = match it.origin {
                    Origin::Default => ("default", None),
                    Origin::File(line) => ("file", Some(line)),
                    Origin::Variable => ("variable", None),
                    Origin::Flag => ("flag", None),
                };
                json!({"key": it.key, "value": it.value, "from": from, "line": line})
            });
            let file = settings.file.path.display().to_string();
            output::print(&json!({"file": file, "settings": all.collect::<Vec<_>>()}))
        }
    }
    .map_err(Failure::Running)
}

fn shown(settings: &Settings) -> String {
    let lines = settings.all.iter().map(|it| {
        let from = match it.origin {
            Origin::Default => "default".to_owned(),
            Origin::File(line) => format!("{}:{line}", settings.file.path.display()),
            Origin::Variable => "variable".to_owned(),
            Origin::Flag => "flag".to_owned(),
        };
        let Setting { key, value, .. } = it;
        format!("{key:<19} {:<28} {from}", value.as_deref().unwrap_or("-"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How the file that is shipped begins.
const HEAD: &str = "\
# Settings of pinscope, in TOML; belongs in /etc/pinscope/pinscope.toml. Each is a flag of `pinscope
# run`, whose help says more. A flag wins over a variable, and both over what stands here. What stands
# here as a comment is the default.
#
# `pinscope config check` looks for mistakes, `pinscope config show` tells what is in force.
# `systemctl reload pinscope` has the agent read this file again. What is marked (reload) changes
# then; a change of anything else takes a restart, and is refused until then.
";

/// The file that is shipped.
pub(super) fn template() -> String {
    let mut text = HEAD.to_owned();
    for flag in keys::all() {
        let Some(key) = keys::name(&flag) else {
            continue;
        };
        let mark = if LIVE.contains(&key) { " (reload)" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n# {}{mark}\n#{key} = {}\n",
            in_one_line(&flag),
            example(&flag)
        );
    }
    text
}

/// The first sentence of its help, and the values that there are, if they are few.
fn in_one_line(flag: &Arg) -> String {
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let end = help.find(". ").unwrap_or(help.len());
    let line = help[..end].trim_end_matches('.').replace('\n', " ");
    let values = flag.get_possible_values();
    let values: Vec<&str> = values.iter().map(|it| it.get_name()).collect();
    match values.as_slice() {
        [] => format!("{line}."),
        some => format!("{line}: {}.", some.join(", ")),
    }
}

/// Its default; where it has none, what it stands for.
fn example(flag: &Arg) -> String {
    let default = flag.get_default_values().first();
    let default = default.map(|it| it.to_string_lossy().into_owned());
    match default {
        Some(number) if number.parse::<u64>().is_ok() => number,
        Some(text) => toml::Value::String(text).to_string(),
        None => {
            let names = flag.get_value_names().unwrap_or_default();
            let name = names.first().map_or("", |it| it.as_str());
            toml::Value::String(name.to_owned()).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::settings::DEFAULT_FILE;

    /// Every setting that it has as a comment.
    fn settings() -> Vec<String> {
        let text = template();
        let lines = text.lines().filter_map(|it| it.strip_prefix('#'));
        let lines = lines.filter(|it| it.starts_with(|it: char| it.is_ascii_lowercase()));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn the_file_that_is_shipped_has_every_setting_with_a_line_of_help() {
        assert!(template().contains(DEFAULT_FILE));
        let found = settings();
        let found: Vec<_> = found.iter().filter_map(|it| it.split_once(" = ")).collect();
        let found: Vec<&str> = found.into_iter().map(|it| it.0).collect();
        let all = keys::all();
        let wanted: Vec<&str> = all.iter().filter_map(keys::name).collect();
        assert_eq!(found, wanted);
        for paragraph in template().split("\n\n").skip(1) {
            assert_eq!(paragraph.lines().count(), 2, "{paragraph}");
        }
    }

    #[test]
    fn what_it_has_as_comments_are_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinscope.toml");
        let values = |text: String| -> Vec<_> {
            std::fs::write(&path, text).unwrap();
            let arguments = vec!["pinscope".into(), "run".into()];
            let read = Settings::read(arguments, Some(&path)).unwrap();
            read.all.into_iter().map(|it| it.value).collect()
        };
        let mut with = settings();
        // What has no default says what it would be.
        with.retain(|it| {
            !["FILE", "TIME"]
                .iter()
                .any(|name| it.ends_with(&format!("\"{name}\"")))
        });
        assert_eq!(with.len() + 2, keys::all().len());
        assert_eq!(values(with.join("\n")), values(String::new()));
    }
}
