//! What a verb goes by: flags first, then variables, the configuration file and defaults. Values of
//! the file are laid under the command line as its defaults, so that whatever holds for a flag holds
//! for them.

mod file;
pub(super) mod keys;

use std::{
    ffi::OsString,
    fmt::{self, Display, Formatter},
    io,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _, parser::ValueSource};

use verdicts::harmless;

use super::cli::{Cli, RunOptions};
use crate::{error::AgentError, kernel::small_file};
use file::Entry;
pub(super) use file::Fault;

/// Where it is, if nothing is said.
pub(super) const DEFAULT_FILE: &str = "/etc/pinscope/pinscope.toml";

/// No file that says anything is larger.
const MOST_BYTES: u64 = 1 << 16;

/// A configuration file that was read.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) path: PathBuf,
    /// Whether it is there: the default one need not be.
    pub(super) is_there: bool,
    entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
}

impl Examined {
    /// Reads the file that is named, or else the default one.
    pub(super) fn read(named: Option<&Path>) -> Result<Self, AgentError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE)).to_owned();
        let bytes = match small_file::read(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if named.is_none() && is_absent(&error) => {
                return Ok(Self {
                    path,
                    is_there: false,
                    entries: Vec::new(),
                    faults: Vec::new(),
                });
            }
            Err(source) => return Err(AgentError::Read { path, source }),
        };
        let (entries, faults) = understood(&bytes);
        Ok(Self {
            path,
            is_there: true,
            entries,
            faults,
        })
    }

    /// The same without faults, or what they are.
    fn sound(self) -> Result<Self, AgentError> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        let path = self.path.display();
        let faults = self.faults.iter();
        let faults: Vec<_> = faults
            .map(|it| format!("{path}:{}: {}", it.line, it.why))
            .collect();
        Err(AgentError::Config(faults.join("; ")))
    }
}

impl Display for Examined {
    /// That it can be used.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match (self.is_there, self.entries.len()) {
            (false, _) => write!(out, "{path} is not there"),
            (true, 0) => write!(out, "{path} has no setting"),
            (true, 1) => write!(out, "{path} has one setting"),
            (true, some) => write!(out, "{path} has {some} settings"),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    // The second where a part of the path is a file.
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Faults that are told of one file.
const MOST_FAULTS: usize = 20;

/// The entries of a file, and what is wrong with it, in words that do a terminal no harm.
fn understood(bytes: &[u8]) -> (Vec<Entry>, Vec<Fault>) {
    let (entries, mut faults) = file::entries(bytes);
    let keys = keys::all();
    let wrong = entries.iter().filter_map(|it| {
        let why = keys::fault(it, &keys)?;
        Some(Fault { line: it.line, why })
    });
    faults.extend(wrong.take(MOST_FAULTS));
    faults.sort_by_key(|it| it.line);
    faults.truncate(MOST_FAULTS);
    for it in &mut faults {
        it.why = harmless(&it.why).into_owned();
    }
    (entries, faults)
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    /// And its line.
    File(usize),
    Variable,
    Flag,
}

/// A setting that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    /// `None` where nothing is said, and there is no default.
    pub(super) value: Option<String>,
    pub(super) origin: Origin,
}

/// What a verb goes by.
#[derive(Debug)]
pub(super) struct Settings {
    /// What was said, the program's name first.
    arguments: Vec<OsString>,
    /// The file that is named, if one is.
    named: Option<PathBuf>,
    pub(super) file: Examined,
    pub(super) cli: Cli,
    pub(super) all: Vec<Setting>,
}

impl Settings {
    /// Reads the file, and lays it under what was said.
    pub(super) fn read(arguments: Vec<OsString>, named: Option<&Path>) -> Result<Self, AgentError> {
        let file = Examined::read(named)?.sound()?;
        Self::of(arguments, named, file)
    }

    /// The same, read anew.
    pub(super) fn again(&self) -> Result<Self, AgentError> {
        Self::read(self.arguments.clone(), self.named.as_deref())
    }

    fn of(
        arguments: Vec<OsString>,
        named: Option<&Path>,
        file: Examined,
    ) -> Result<Self, AgentError> {
        // What was said alone is right already: it was parsed before the file was looked for.
        let refused = |it: clap::Error| AgentError::Config(keys::in_short(&it));
        let matches = laid_under(Cli::command(), &file.entries)
            .try_get_matches_from(&arguments)
            .map_err(refused)?;
        let cli = Cli::from_arg_matches(&matches).map_err(refused)?;
        Ok(Self {
            arguments,
            named: named.map(Path::to_owned),
            all: in_force(&matches, &file.entries),
            file,
            cli,
        })
    }

    /// Those of a run, if the verb has them.
    pub(super) fn run(&self) -> Option<&RunOptions> {
        self.cli.command.run()
    }
}

/// The command with the values of a file as its defaults.
fn laid_under(command: Command, entries: &[Entry]) -> Command {
    let value = |key: Option<&str>| {
        let found = entries.iter().find(|it| Some(it.key.as_str()) == key)?;
        Some(found.value.clone())
    };
    let command = command.mut_args(|flag| match value(flag.get_long()) {
        Some(value) => flag.default_value(value),
        None => flag,
    });
    command.mut_subcommands(|it| laid_under(it, entries))
}

/// All settings that the verb has.
fn in_force(matches: &ArgMatches, entries: &[Entry]) -> Vec<Setting> {
    let mut verb = matches;
    while let Some((_, inner)) = verb.subcommand() {
        verb = inner;
    }
    let mut all = Vec::new();
    for flag in keys::all() {
        let (Some(key), id) = (keys::name(&flag), flag.get_id().as_str()) else {
            continue;
        };
        let Ok(values) = verb.try_get_raw(id) else {
            continue;
        };
        let value = values.and_then(|mut it| Some(it.next()?.to_string_lossy().into_owned()));
        let line = entries.iter().find(|it| it.key == key).map(|it| it.line);
        let origin = match (verb.value_source(id), line) {
            (Some(ValueSource::CommandLine), _) => Origin::Flag,
            (Some(ValueSource::EnvVariable), _) => Origin::Variable,
            (_, Some(line)) => Origin::File(line),
            (_, None) => Origin::Default,
        };
        all.push(Setting {
            key: key.to_owned(),
            value,
            origin,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cli::Command as Verb;

    fn read(text: &str, arguments: &[&str]) -> Result<Settings, AgentError> {
        let (entries, faults) = understood(text.as_bytes());
        let file = Examined {
            path: "pinscope.toml".into(),
            is_there: true,
            entries,
            faults,
        };
        let arguments = ["pinscope"].iter().chain(arguments);
        let arguments = arguments.map(OsString::from).collect();
        Settings::of(arguments, None, file.sound()?)
    }

    fn said(text: &str) -> String {
        read(text, &["run"]).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let text = "suspect-after = '2h'\nowners = 64\nlog = 'warn'\n";
        let settings = read(text, &["run", "--owners", "128", "--log", "debug"]).unwrap();
        let run = settings.run().unwrap();
        assert_eq!(run.suspect_after.as_secs(), 7200);
        assert_eq!(run.owners, 128);
        assert_eq!(run.ledger_folios, 1 << 18);
        assert_eq!(settings.cli.log, "debug");
        let origin = |key: &str| {
            let mut all = settings.all.iter();
            all.find(|it| it.key == key).map(|it| it.origin.clone())
        };
        assert_eq!(origin("suspect-after"), Some(Origin::File(1)));
        assert_eq!(origin("owners"), Some(Origin::Flag));
        assert_eq!(origin("ring-bytes"), Some(Origin::Default));
        assert_eq!(settings.all.len(), keys::all().len());
    }

    #[test]
    fn what_has_no_default_and_what_is_global_can_stand_in_the_file() {
        let text = "web-config = '/w.yml'\nduration = 5\nlog = 'trace'\n";
        let settings = read(text, &["record", "-o", "x"]).unwrap();
        let run = settings.run().unwrap();
        assert_eq!(run.web_config.as_deref(), Some(Path::new("/w.yml")));
        assert_eq!(run.duration.map(|it| it.as_secs()), Some(5));
        assert_eq!(settings.cli.log, "trace");
    }

    #[test]
    fn who_asks_and_the_doctor_are_told_what_they_have_in_common_with_a_run() {
        let text = "socket = '/s'\noff-file = '/o'\nattach = 'kprobe'\nowners = 64\n";
        match read(text, &["pins", "--top", "3"]).unwrap().cli.command {
            Verb::Pins(it) => assert_eq!(it.socket, Path::new("/s")),
            other => panic!("{other:?}"),
        }
        match read(text, &["doctor"]).unwrap().cli.command {
            Verb::Doctor(it) => assert_eq!(it.off_file, Path::new("/o")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_fault_is_told_with_file_and_line_and_nothing_is_taken() {
        let said = said("owners = 64\nattach = 'magic'\n\nsuspect_after = '1h'\n");
        for wanted in [
            "pinscope.toml:2: invalid value 'magic' for '--attach <ATTACH>'",
            "pinscope.toml:4: `suspect_after` is no setting; did you mean `suspect-after`?",
        ] {
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn faults_do_a_terminal_no_harm_and_are_not_without_end() {
        let told = said("\"\\u001b[2J\" = 1\nlisten = \"\\u001b[2J\"\n");
        assert!(!told.contains('\u{1b}') && told.contains("\\x1b"), "{told}");
        let many: String = (0..9999).map(|it| format!("no-{it} = 1\n")).collect();
        assert_eq!(understood(many.as_bytes()).1.len(), MOST_FAULTS);
    }

    #[test]
    fn only_the_file_that_nobody_named_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        let error = Examined::read(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        assert!(Examined::read(Some(folder.path())).is_err());
    }

    #[test]
    fn fuzz_configuration() {
        let shipped = include_bytes!("../../../packaging/pinscope.toml");
        let seeds: [&[u8]; 4] = [
            shipped,
            b"listen = \"127.0.0.1:1\"\nring-bytes = 0x1000\nsuspect-after = '''1h'''\n",
            b"attach = 'kprobe'\nlog = 'info'\nowners = 64\nsummary = 'json'\n",
            b"a.b = [1, {c = 2026-01-01}]\n[run]\n[[x]]\nlog = true",
        ];
        crate::fuzz::bytes(&seeds, |it| {
            let (entries, faults) = understood(it);
            if faults.is_empty() {
                let laid = laid_under(Cli::command(), &entries);
                let parsed = laid.try_get_matches_from(["pinscope", "run"]);
                assert!(parsed.is_ok(), "what has no fault can be used");
            }
        });
    }
}
