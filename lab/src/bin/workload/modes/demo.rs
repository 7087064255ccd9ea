//! The other modes in turn, moderately, for as long as wanted: so that a person who looks
//! at the agent sees pins, mkclean walks and verdicts. It measures nothing.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use crate::kernel::cross_memory::Access;
use crate::kernel::files::Folios;
use crate::kernel::memory::Kind;
use crate::modes::{churn, direct_read, dirty, hold, private, uring_fixed, vmsplice, zap_race};
use crate::session::{Pace, Session};

/// How fast.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How long it holds pins and references in each turn.
    #[arg(long, default_value = "1s", value_parser = crate::duration::parse)]
    pub(crate) held: Duration,
}

/// One turn's work: its name and how it is done.
type Act = (&'static str, fn(&Session) -> Result<Counts>);

const ACTS: [Act; 8] = [
    ("direct reads with msync", |session| {
        let args = direct_read::Args {
            reads: 50,
            pages: 16,
            threads: 2,
            sync_every: 1,
            engine: direct_read::Engine::Pread,
            memory: Kind::File,
        };
        direct_read::run(&args, session)
    }),
    ("pins held across msync", |session| {
        hold::run(
            &hold::Args {
                pages: 512,
                access: Access::Write,
                syncs: 3,
                folios: Folios::Large,
                file: None,
            },
            session,
        )
    }),
    ("stores with nothing pinned", |session| {
        dirty::run(
            &dirty::Args {
                pages: 128,
                rounds: 3,
                folios: Folios::Large,
            },
            session,
        )
    }),
    ("a private mapping beside a shared one", |session| {
        private::run(
            &private::Args {
                pages: 32,
                rounds: 3,
                after_pin: true,
                folios: Folios::Small,
            },
            session,
        )
    }),
    ("pins acquired and released", |session| {
        let args = churn::Args {
            calls: 20,
            pages: 256,
            threads: 2,
            memory: Kind::Anon,
        };
        churn::run(&args, session)
    }),
    ("references in a pipe across msync", |session| {
        vmsplice::run(
            &vmsplice::Args {
                pages: 64,
                syncs: 2,
            },
            session,
        )
    }),
    ("fixed buffers of an io_uring", |session| {
        let release = uring_fixed::Release::Close;
        uring_fixed::run(
            &uring_fixed::Args {
                pages: 512,
                memory: Kind::Anon,
                release,
                rings: 1,
            },
            session,
        )
    }),
    ("unmapping in a race with msync", |session| {
        let race = Duration::from_millis(500);
        zap_race::run(
            &zap_race::Args {
                pages: 32,
                race,
                readers: 1,
            },
            session,
        )
    }),
];

/// Goes round until told to end. What this kernel refuses is said once and left out from
/// then on; if it refuses everything, that is an error.
pub(crate) fn run(args: &Args, session: &Session) -> Result<Counts> {
    let session = &Session {
        pace: Pace::Clock(args.held),
        ..session.clone()
    };
    let mut acts = ACTS.to_vec();
    let mut total = Counts::default();
    while !session.over() {
        acts.retain(|(name, act)| {
            if session.over() {
                return true;
            }
            eprintln!("workload: {name}");
            match act(session) {
                Ok(counts) => {
                    total += counts;
                    true
                }
                Err(error) => {
                    eprintln!("workload: {name}: left out from now on: {error:#}");
                    false
                }
            }
        });
        ensure!(!acts.is_empty(), "nothing that the demo does works here");
    }
    Ok(total)
}
