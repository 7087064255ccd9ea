//! Where the programs under test are and how patient a test may be. It starts nothing.

use std::path::PathBuf;
use std::time::Duration;

/// What every test is given.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) agent: PathBuf,
    pub(crate) workload: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) attach: String,
    pub(crate) patience: Duration,
}
