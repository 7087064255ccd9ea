//! The main job as a person starts it: `cargo xtask run --duration`, its metrics scraped on this host meanwhile.
//! Leaves out what the numbers must be, which the kernel tests say.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use super::Count;
use crate::{guard, paths};

/// Where `cargo xtask run` answers.
const PORT: u16 = 9969;

/// How long a boot and an attach may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Counters that a live agent beside its demo workload brings above zero.
const ALIVE: [&str; 4] = [
    "pinscope_pins_acquired_total",
    "pinscope_mkclean_walks_total{outcome=\"sampled\"}",
    "pinscope_samples_judged_total",
    "pinscope_verdicts_total{estimator=\"kernel\",verdict=\"pinned\",kernel=\"pinned\"}",
];

pub(super) fn check() -> Count {
    Count::of_one(run())
}

fn run() -> anyhow::Result<()> {
    let xtask = std::env::current_exe().context("cannot find xtask itself")?;
    let mut child = guard::command(&xtask)?
        .args(["run", "--kernel", "6.12", "--duration", "30s"])
        .current_dir(paths::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start `cargo xtask run`")?;
    let metrics = alive(&mut child)?;
    promtool(&metrics)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let summary = String::from_utf8_lossy(&output.stdout);
    ensure!(
        summary.contains("pinscope ran for"),
        "no summary: {summary}"
    );
    Ok(())
}

/// Scrapes until everything that should move has moved; gives the last scrape.
fn alive(child: &mut Child) -> anyhow::Result<String> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status} before its metrics moved");
        }
        let still = match scrape() {
            Ok(metrics) => match ALIVE.iter().find(|name| value(&metrics, name) <= 0.0) {
                None => return Ok(metrics),
                Some(name) => format!("{name} is still 0"),
            },
            Err(error) => format!("{error:#}"),
        };
        ensure!(start.elapsed() < PATIENCE, "after {PATIENCE:?}, {still}");
        // Between two looks; the condition above decides.
        thread::sleep(Duration::from_millis(200));
    }
}

fn value(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or(0.0)
}

fn scrape() -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("not an HTTP answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "the answer is {head}");
    Ok(body.to_owned())
}

/// Prometheus' own opinion of the text.
fn promtool(metrics: &str) -> anyhow::Result<()> {
    let mut child = Command::new(paths::tools().join("bin/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start promtool")?;
    let mut input = child.stdin.take().context("promtool has no input")?;
    input.write_all(metrics.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let complaints = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success() && complaints.is_empty(),
        "promtool: {}",
        String::from_utf8_lossy(&complaints)
    );
    Ok(())
}
