//! The web configuration that is in force. It is read again when it or a file that it names has
//! changed; a change that cannot be used leaves the last one in force, and the log says so.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hyper::header::HeaderMap;
use log::{info, warn};
use rustls::ServerConfig;

use super::{access::Access, config, tls, watched::Watched};
use crate::error::AgentError;

/// What a connection is served by.
#[derive(Default)]
pub(super) struct Terms {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) users: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
}

/// The configuration file, and what it says.
pub(crate) struct Web {
    file: Option<PathBuf>,
    pub(super) access: Access,
    now: Mutex<Now>,
}

struct Now {
    terms: Arc<Terms>,
    /// Each file that had a part in that, or in what could not be used.
    seen: Vec<Watched>,
}

impl Web {
    /// Reads the configuration, if there is one.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, AgentError> {
        // A setting that is there and says nothing.
        let file = file.filter(|it| !it.as_os_str().is_empty());
        let mut seen = Vec::new();
        let terms = match file {
            None => Terms::default(),
            Some(file) => load(file, &mut seen).map_err(|reason| AgentError::WebConfig {
                path: file.to_owned(),
                reason,
            })?,
        };
        let access = Access::new().map_err(|_| AgentError::System {
            what: "cannot check passwords",
            source: io::Error::other("the kernel gives no random numbers"),
        })?;
        Ok(Self {
            file: file.map(Path::to_owned),
            access,
            now: Mutex::new(Now {
                terms: Arc::new(terms),
                seen,
            }),
        })
    }

    /// What holds now.
    pub(super) fn terms(&self) -> Arc<Terms> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file
            && now.seen.iter_mut().any(Watched::has_changed)
        {
            let mut seen = Vec::new();
            let terms = load(file, &mut seen).and_then(|it| keeps_guard(&now.terms, it));
            now.seen = seen;
            match terms {
                Ok(terms) => {
                    info!("{} was read again", file.display());
                    now.terms = Arc::new(terms);
                }
                Err(why) => warn!(
                    "what {} says now cannot be used, and what it said before holds: {why}",
                    file.display()
                ),
            }
        }
        Arc::clone(&now.terms)
    }

    /// What a URL of the agent begins with.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.terms().tls {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// A file that is written anew is empty for a moment: that opens nothing.
fn keeps_guard(before: &Terms, after: Terms) -> Result<Terms, String> {
    if before.tls.is_some() != after.tls.is_some() {
        return Err("tls_server_config: to turn TLS on or off takes a restart".to_owned());
    }
    if !before.users.is_empty() && after.users.is_empty() {
        return Err("basic_auth_users: to do without users takes a restart".to_owned());
    }
    Ok(after)
}

fn load(file: &Path, seen: &mut Vec<Watched>) -> Result<Terms, String> {
    let mut note = |path: PathBuf| {
        let watched = Watched::read(path);
        let found = watched.found.clone();
        seen.push(watched);
        found
    };
    let text = String::from_utf8(note(file.to_owned())?).map_err(|_| "it is not UTF-8")?;
    let config = config::parse(&text)?;
    let tls = match &config.tls {
        None => None,
        Some(section) => {
            let mut beside = |name: &str| {
                let path = config::beside(file, name);
                note(path.clone()).map_err(|it| format!("cannot read {}: {it}", path.display()))
            };
            Some(tls::server_config(section, &mut beside)?)
        }
    };
    Ok(Terms {
        tls,
        users: config.users,
        headers: config.headers,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ALICE: &str = "basic_auth_users:\n  alice: \
         $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n";

    #[test]
    fn a_change_holds_at_once_and_one_that_cannot_be_used_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yml");
        fs::write(&file, ALICE).unwrap();
        let web = Web::open(Some(&file)).unwrap();
        let names = || web.terms().users.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(), ["alice"]);
        for wrong in ["", "{}", "basic_auth_users:\n  bob: x\n", "rubbish"] {
            fs::write(&file, wrong).unwrap();
            assert_eq!(names(), ["alice"], "{wrong}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(names(), ["alice"]);
        fs::write(&file, ALICE.replace("alice", "bob")).unwrap();
        assert_eq!(names(), ["bob"]);
    }
}
