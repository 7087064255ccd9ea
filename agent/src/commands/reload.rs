//! The settings of a run, and how they change: SIGHUP has the configuration file read again. All
//! that changed is taken over, or nothing.

use log::{Level, info, log_enabled, warn};
use verdicts::harmless;

use super::{
    cli::RunOptions,
    logging,
    settings::{Examined, Setting, Settings, keys::LIVE},
};
use crate::{
    collect::{Reloaded, Tuning},
    error::{AgentError, chain},
    kernel::sys,
};

/// Settings of a run.
#[derive(Debug)]
pub(super) struct InForce {
    settings: Settings,
    reloaded: Reloaded,
}

impl InForce {
    /// Those of the start.
    pub(super) fn at_start(settings: Settings) -> Self {
        Self {
            settings,
            reloaded: Reloaded {
                is_successful: true,
                succeeded_at: sys::since_1970(),
            },
        }
    }

    pub(super) fn options(&self) -> &RunOptions {
        self.settings
            .run()
            .expect("only a verb that runs has settings in force")
    }

    /// The configuration file, if there is one.
    pub(super) fn file(&self) -> &Examined {
        &self.settings.file
    }

    /// What the collector goes by.
    pub(super) fn tuning(&self) -> Tuning {
        let options = self.options();
        Tuning {
            writeback_hooks: options.writeback_hooks,
            writeback_calm: options.writeback_calm,
            old_after: options.suspect_after,
            reloaded: self.reloaded,
        }
    }

    /// Reads the file again, and says what changed or why nothing did.
    pub(super) fn reload(&mut self) {
        let read = self.settings.again().and_then(|after| {
            let changes = changes(&self.settings.all, &after.all)?;
            Ok((after, changes))
        });
        match read {
            Ok((after, changes)) => self.take_over(after, &changes),
            Err(error) => {
                self.reloaded.is_successful = false;
                warn!("settings are as before: {}", chain(&error));
            }
        }
    }

    fn take_over(&mut self, after: Settings, changes: &[Change]) {
        let from = after.file.path.display();
        let told = match changes {
            [] => format!("settings were read again from {from}: nothing changed"),
            some => format!("settings were read again from {from}: {}", list(some)),
        };
        // By the old filter or the new one, whichever lets it through.
        let is_told = log_enabled!(Level::Info);
        if is_told {
            info!("{told}");
        }
        logging::filter(&after.cli.log);
        if !is_told {
            info!("{told}");
        }
        self.settings = after;
        self.reloaded = Reloaded {
            is_successful: true,
            succeeded_at: sys::since_1970(),
        };
    }
}

/// A setting with another value.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    key: String,
    before: Option<String>,
    after: Option<String>,
}

/// What changed. Refused if a part of it takes a restart.
fn changes(before: &[Setting], after: &[Setting]) -> Result<Vec<Change>, AgentError> {
    let changed = before.iter().zip(after).filter(|(before, after)| {
        debug_assert_eq!(before.key, after.key, "settings have one order");
        before.value != after.value
    });
    let changes: Vec<Change> = changed
        .map(|(before, after)| Change {
            key: after.key.clone(),
            before: before.value.clone(),
            after: after.value.clone(),
        })
        .collect();
    let (live, fixed): (Vec<Change>, Vec<Change>) = changes
        .into_iter()
        .partition(|it| LIVE.contains(&it.key.as_str()));
    match fixed.as_slice() {
        [] => Ok(live),
        fixed => Err(AgentError::TakesRestart(list(fixed))),
    }
}

fn list(changes: &[Change]) -> String {
    let value = |it: &Option<String>| match it {
        Some(text) => harmless(text).into_owned(),
        None => "nothing".to_owned(),
    };
    let told = changes.iter().map(|it| {
        let (before, after) = (value(&it.before), value(&it.after));
        format!("{} from {before} to {after}", it.key)
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::settings::Origin;

    fn settings(all: [(&str, Option<&str>); 3]) -> Vec<Setting> {
        let all = all.iter().map(|(key, value)| Setting {
            key: (*key).to_owned(),
            value: value.map(str::to_owned),
            origin: Origin::Default,
        });
        all.collect()
    }

    fn check(listen: &str, log: &str, web: Option<&str>) -> Result<String, String> {
        let of = |listen, log, web| {
            settings([
                ("listen", Some(listen)),
                ("log", Some(log)),
                ("web-config", web),
            ])
        };
        let changes = changes(&of("a", "info", None), &of(listen, log, web));
        changes.map(|it| list(&it)).map_err(|it| it.to_string())
    }

    #[test]
    fn what_a_running_agent_can_take_over_is_told_from_what_to_what() {
        assert_eq!(check("a", "warn", None).unwrap(), "log from info to warn");
        assert_eq!(check("a", "info", None).unwrap(), "");
    }

    #[test]
    fn a_change_that_takes_a_restart_refuses_all_of_them_and_is_named() {
        let said = check("b", "warn", Some("w\n")).unwrap_err();
        let wanted = "listen from a to b, web-config from nothing to w\\x0a;";
        assert!(said.contains(wanted) && !said.contains("log"), "{said}");
    }
}
