//! Reads what the guest prints: fio's report, the workload's and the verifier's; leaves out everything else.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::figures::{Figures, Load, Observer, Own};

/// A count of instructions is a nanosecond of a guest's time.
const A_MILLISECOND: f64 = 1e6;

#[derive(Deserialize)]
struct Fio {
    jobs: [FioJob; 1],
}

#[derive(Deserialize)]
struct FioJob {
    error: i64,
    read: FioReads,
}

#[derive(Deserialize)]
struct FioReads {
    /// Milliseconds.
    runtime: u32,
    total_ios: u32,
}

#[derive(Deserialize)]
struct Workload {
    counts: Timed,
}

#[derive(Deserialize)]
struct Timed {
    timed: u32,
    timed_nanoseconds: u64,
}

#[derive(Deserialize)]
struct Program {
    program: String,
    instructions: Option<u64>,
    refused: Option<String>,
}

/// Takes one line into the figures. A line of a kind that is not known is an error: nothing else should be printed.
pub(crate) fn read(line: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let mut words = line.splitn(4, '\t');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("cost"), Some(observer), Some(load), Some(report)) => {
            let observer = named(&Observer::ALL, observer)?;
            let load = named(&Load::ALL, load)?;
            let instructions = match load {
                Load::Io => of_fio(report),
                _ => of_workload(report),
            }
            .with_context(|| format!("{load:?} with {observer:?}: {report}"))?;
            figures.add(observer, load, instructions);
        }
        (Some("own"), Some(own), Some(measured), None) => {
            let measured = measured.parse()?;
            ensure!(measured > 0.0, "nothing was measured of {own}");
            figures.add_own(named(&Own::ALL, own)?, measured);
        }
        (Some("verify"), Some(report), None, None) => {
            let verified: serde_json::Value = serde_json::from_str(report)?;
            // The first line is about the kernel.
            if verified.get("program").is_some() {
                let program: Program = serde_json::from_value(verified)?;
                let refused = program.refused.unwrap_or_default();
                let verdict = program.instructions.ok_or(refused);
                figures.programs.insert(program.program, verdict);
            }
        }
        _ => bail!("the guest printed {line:?}"),
    }
    Ok(())
}

fn named<T: Copy>(all: &[(T, &str)], wanted: &str) -> anyhow::Result<T> {
    let found = all.iter().find(|(_, name)| *name == wanted);
    Ok(found.with_context(|| format!("there is no {wanted}"))?.0)
}

fn of_fio(report: &str) -> anyhow::Result<f64> {
    let Fio { jobs: [job] } = serde_json::from_str(report)?;
    ensure!(job.error == 0, "fio met error {}", job.error);
    ensure!(job.read.total_ios > 0, "nothing was read");
    Ok(f64::from(job.read.runtime) * A_MILLISECOND / f64::from(job.read.total_ios))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "minutes have fewer than 2^53 nanoseconds"
)]
fn of_workload(report: &str) -> anyhow::Result<f64> {
    let Workload { counts } = serde_json::from_str(report)?;
    ensure!(counts.timed > 0, "nothing was timed");
    Ok(counts.timed_nanoseconds as f64 / f64::from(counts.timed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_itself_takes_is_more_than_nothing() {
        let mut figures = Figures::default();
        read("own\tidle\t877166", &mut figures).unwrap();
        assert_eq!(figures.own(Own::Idle).unwrap(), 877_166.0);
        assert!(read("own\tstart\t0", &mut figures).is_err());
    }

    #[test]
    fn fios_time_is_divided_by_what_it_read() {
        let mut figures = Figures::default();
        let report = r#"{"jobs": [{"error": 0, "read": {"runtime": 653, "total_ios": 100000}}]}"#;
        read(&format!("cost\toff\tio\t{report}"), &mut figures).unwrap();
        assert_eq!(figures.of(Observer::Off, Load::Io), Some(6530.0));
    }

    #[test]
    fn the_workloads_time_is_divided_by_what_it_did() {
        let mut figures = Figures::default();
        let report = r#"{"counts": {"timed": 20, "timed_nanoseconds": 5000, "zaps": 1}}"#;
        read(&format!("cost\tkprobe\tunmap\t{report}"), &mut figures).unwrap();
        assert_eq!(figures.of(Observer::Kprobe, Load::Unmap), Some(250.0));
    }

    #[test]
    fn a_run_that_failed_or_did_nothing_is_no_figure() {
        for line in [
            "cost\toff\tio\t{\"jobs\": [{\"error\": 5, \"read\": {\"runtime\": 1, \"total_ios\": 1}}]}",
            "cost\toff\tio\t{\"jobs\": [{\"error\": 0, \"read\": {\"runtime\": 1, \"total_ios\": 0}}]}",
            "cost\toff\twalk\t{\"counts\": {\"timed\": 0, \"timed_nanoseconds\": 0}}",
            "cost\toff\tnothing\t{}",
            "what is this",
        ] {
            assert!(read(line, &mut Figures::default()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_program_has_its_count_or_the_reason_why_not() {
        let mut figures = Figures::default();
        for line in [
            "verify\t{\"facts\": {}}",
            "verify\t{\"program\": \"a\", \"instructions\": 12, \"load_ms\": 1}",
            "verify\t{\"program\": \"b\", \"refused\": \"too large\"}",
        ] {
            read(line, &mut figures).unwrap();
        }
        assert_eq!(figures.programs["a"], Ok(12));
        assert_eq!(figures.programs["b"], Err("too large".to_owned()));
        assert_eq!(figures.programs.len(), 2);
    }
}
