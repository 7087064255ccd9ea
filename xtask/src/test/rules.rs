//! The alerting and recording rules, by Prometheus' own checker and with their own tests.
//! Leaves out the dashboards, whose names the agent's document tests compare with its metrics.

use std::process::Command;

use crate::{paths, process};

pub(super) fn check() -> anyhow::Result<()> {
    let promtool = || {
        let mut command = Command::new(paths::tools().join("bin/promtool"));
        command.current_dir(paths::root().join("dashboards"));
        command
    };
    process::output(promtool().args(["check", "rules", "rules.yml"]))?;
    process::output(promtool().args(["test", "rules", "rules.test.yml"]))?;
    Ok(())
}
