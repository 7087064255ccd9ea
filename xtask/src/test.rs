//! `cargo xtask test`: every check of this repository, each carried out even if another failed.
//! Leaves out tests of one's own choice: those are `cargo test` and `cargo xtask lab`.

mod cargo;
mod guests;
mod lab;
mod main_job;
mod rules;
mod service;
mod tidy;

use std::{collections::BTreeSet, process::ExitCode, time::Instant};

use crate::{arch::Arch, build, kernels, matrix::pool, say, setup};

/// The kernels that every change is tested on.
const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// How many tests of one check passed, and which did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
}

impl Count {
    /// A check that is one test.
    fn of_one(outcome: anyhow::Result<()>) -> Self {
        match outcome {
            Ok(()) => Self {
                passed: 1,
                failed: Vec::new(),
            },
            Err(error) => {
                say::step("test", format_args!("FAILED: {error:#}"));
                Self {
                    passed: 0,
                    failed: vec![format!("{error:#}")],
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
    }

    /// What ended in an error has failed, if only by that.
    fn end(&mut self, ended: anyhow::Result<()>) {
        let Err(error) = ended else { return };
        say::step("test", format_args!("FAILED: {error:#}"));
        if self.failed.is_empty() {
            self.failed.push(format!("{error:#}"));
        }
    }
}

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels to boot, instead of the usual ones
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
}

pub(crate) fn verb(options: &Options) -> anyhow::Result<ExitCode> {
    let series: Vec<_> = match options.kernel.as_slice() {
        [] => KERNELS.map(str::to_owned).to_vec(),
        named => named.to_vec(),
    };
    // A person who names kernels wants those and no other.
    let besides = options.kernel.is_empty();
    let more = besides.then(|| {
        guests::kernels_besides()
            .into_iter()
            .chain(service::KERNELS)
    });
    let locked: Vec<_> = series
        .iter()
        .map(String::as_str)
        .chain(more.into_iter().flatten())
        .map(kernels::locked)
        .collect::<anyhow::Result<_>>()?;
    let guests = locked.iter().map(|it| Arch::of_kernel(&it.series));
    let archs: BTreeSet<_> = guests.chain([Arch::HOST]).collect();
    archs.iter().copied().try_for_each(setup::all)?;
    if besides {
        setup::to_package(Arch::HOST)?;
    }
    for locked in &locked {
        kernels::store::bring(locked)?;
    }
    for arch in archs {
        build::all(arch)?;
    }

    let mut report = Report::default();
    report.check("formatting", || Count::of_one(cargo::formatting()));
    report.check("house rules", || Count::of_one(tidy::check()));
    report.check("lints", || Count::of_one(cargo::lints()));
    report.check("lints of the eBPF programs", || {
        Count::of_one(build::ebpf::clippy())
    });
    report.check("other architectures", || {
        Count::of_one(other_architectures())
    });
    report.check("documentation", || Count::of_one(cargo::documentation()));
    report.check("unit tests", cargo::tests);
    report.check("alerting rules", || Count::of_one(rules::check()));
    report.guests(&series, besides);
    Ok(report.print())
}

/// All that is done in guests, the longest first.
fn jobs(series: &[String], besides: bool) -> anyhow::Result<Vec<Job>> {
    let mut jobs = guests::jobs(series)?;
    if besides {
        jobs.extend(service::jobs()?);
    }
    jobs.push(Job::new("the lab itself", lab::checks));
    if besides {
        jobs.extend(guests::jobs_besides()?);
    }
    jobs.push(Job::new("the main job, scraped", main_job::check));
    Ok(jobs)
}

/// A check that is carried out beside others.
struct Job {
    name: String,
    work: Box<dyn Fn() -> Count + Send + Sync>,
}

impl Job {
    fn new(name: impl Into<String>, work: impl Fn() -> Count + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            work: Box::new(work),
        }
    }
}

/// The eBPF objects are made for each, and what carries them compiles.
fn other_architectures() -> anyhow::Result<()> {
    let mut others = Arch::ALL.into_iter().filter(|it| *it != Arch::HOST);
    others.try_for_each(|arch| {
        setup::to_build(arch)?;
        build::ebpf::objects(arch)?;
        build::guest::check(arch)
    })
}

/// A check, how it went and how many seconds it took.
type Row = (String, Count, f32);

fn timed(name: &str, work: impl FnOnce() -> Count) -> Row {
    let start = Instant::now();
    let count = work();
    (name.to_owned(), count, start.elapsed().as_secs_f32())
}

/// What was done.
#[derive(Default)]
struct Report {
    rows: Vec<Row>,
}

impl Report {
    fn check(&mut self, name: &str, work: impl FnOnce() -> Count) {
        say::step("test", name);
        self.rows.push(timed(name, work));
    }

    /// Side by side, as many as this machine carries.
    fn guests(&mut self, series: &[String], besides: bool) {
        let jobs = match jobs(series, besides) {
            Ok(jobs) => jobs,
            Err(error) => return self.check("guests", || Count::of_one(Err(error))),
        };
        let at_once = pool::usual();
        say::step("test", format_args!("guests, {at_once} at once"));
        let rows = pool::run(&jobs, at_once, |job| {
            let row = timed(&job.name, &job.work);
            let (name, Count { passed, failed }, seconds) = &row;
            say::step(
                "test",
                format_args!(
                    "{name} in {seconds:.0} s: {passed} passed, {} failed",
                    failed.len()
                ),
            );
            row
        });
        self.rows.extend(rows);
    }

    /// Prints the table, what failed, and the line that continuous integration reads.
    fn print(&self) -> ExitCode {
        println!(
            "\n{:<28} {:>7} {:>7} {:>9}",
            "check", "passed", "failed", "seconds"
        );
        let mut total = Count::default();
        for (name, Count { passed, failed }, seconds) in &self.rows {
            println!("{name:<28} {passed:>7} {:>7} {seconds:>9.1}", failed.len());
            total.add(Count {
                passed: *passed,
                failed: failed.iter().map(|it| format!("{name}: {it}")).collect(),
            });
        }
        println!();
        for failed in &total.failed {
            println!("FAILED {failed}");
        }
        println!("{} passed, {} failed", total.passed, total.failed.len());
        if total.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KERNELS;
    use crate::paths;

    #[test]
    fn the_readme_names_the_kernels_that_every_change_is_tested_on() {
        let readme = std::fs::read_to_string(paths::root().join("README.md")).unwrap();
        let sentence = format!("stock {} kernels", KERNELS.join(" and "));
        assert!(readme.contains(&sentence), "not there: {sentence}");
    }
}
