//! Where the programs under test are, how patient a test may be, and the agent that tests share.
//! It leaves out how an agent is started.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::agent::Agent;
use lab::absent::absent;
use lab::page::page_bytes;
use lab::witness::{Count, Witness};

/// Arguments of the agent that tests of a ledger and of a ring share, both of which overflow.
pub(crate) const SMALL_LEDGER_SMALL_RING: [&str; 4] =
    ["--ledger-folios", "8192", "--ring-bytes", "4096"];

/// What every test is given.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) agent: PathBuf,
    pub(crate) workload: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) attach: String,
    pub(crate) patience: Duration,
    /// Calls of each thread, of 512 pages, where many threads churn.
    pub(crate) churn_calls: usize,
    pub(crate) outlook: Outlook,
    pub(crate) shared: RefCell<Option<Shared>>,
    /// Made when it is first asked: it reads all of the kernel's types.
    pub(crate) witness: OnceCell<Witness>,
}

/// What this kernel in this mode has for the agent, in its own words.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// Why it cannot run at all.
    pub(crate) cannot_run: Option<String>,
    /// Hooks that nothing serves, and why.
    pub(crate) blind: BTreeMap<String, String>,
}

/// An agent that one test has started and the next may use: most of a test's time is the
/// verifier's, which looks at the same programs each time.
#[derive(Debug)]
pub(crate) struct Shared {
    arguments: Vec<String>,
    agent: Rc<Agent>,
}

impl Bench {
    /// A running `pinscope run` with these arguments, which other tests have used or will. What
    /// it says counts from its start, so that a test looks at differences.
    pub(crate) fn shared_agent(&self, arguments: &[&str]) -> Result<Rc<Agent>> {
        if let Some(shared) = &*self.shared.borrow()
            && shared.arguments == arguments
        {
            return Ok(Rc::clone(&shared.agent));
        }
        let agent = Rc::new(Agent::start(self, arguments)?);
        *self.shared.borrow_mut() = Some(Shared {
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            agent: Rc::clone(&agent),
        });
        Ok(agent)
    }

    /// Ends the shared agent, and demands a clean end.
    pub(crate) fn end_shared(&self) -> Result<()> {
        match self.take_shared()? {
            Some(agent) => agent.end().context("the agent that tests shared"),
            None => Ok(()),
        }
    }

    /// The shared agent, if there is one, for a test that is its last.
    pub(crate) fn take_shared(&self) -> Result<Option<Agent>> {
        let Some(shared) = self.shared.take() else {
            return Ok(None);
        };
        Rc::into_inner(shared.agent)
            .context("a test still has the shared agent")
            .map(Some)
    }

    /// Ends it after a test that failed: the next one starts afresh.
    pub(crate) fn drop_shared(&self) {
        drop(self.shared.take());
    }

    /// What is pinned at this moment, page by page, by nobody's books.
    pub(crate) fn witnessed(&self) -> Result<Count> {
        let witness = match self.witness.get() {
            Some(witness) => witness,
            None => {
                let new = Witness::new().context("the witness cannot look")?;
                self.witness.get_or_init(|| new)
            }
        };
        Ok(witness.look()?.count())
    }

    /// Fails as absent where no agent can run.
    pub(crate) fn needs_an_agent(&self) -> Result<()> {
        match &self.outlook.cannot_run {
            Some(why) => Err(absent(format!("the agent cannot run here: {why}"))),
            None => Ok(()),
        }
    }

    /// Fails as absent where the agent is blind at a hook that the workload goes through.
    pub(crate) fn needs_hook(&self, hook: &str) -> Result<()> {
        match self.outlook.blind.get(hook) {
            Some(why) => Err(absent(format!("nothing serves {hook} here: {why}"))),
            None => Ok(()),
        }
    }
}

/// Pages of memory that programs can still have.
pub(crate) fn available_pages() -> Result<i64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|it| it.strip_prefix("MemAvailable:"));
    let kibibytes: i64 = line
        .and_then(|it| it.split_whitespace().next())
        .context("no MemAvailable")?
        .parse()?;
    Ok(kibibytes * 1024 / page_bytes() as i64)
}
