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

use crate::{arch::Arch, build, kernels, say, setup};

/// The kernels that every change is tested on.
const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// How many tests of one check passed, and how many did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Count {
    /// A check that is one test.
    fn of_one(outcome: anyhow::Result<()>) -> Self {
        match outcome {
            Ok(()) => Self {
                passed: 1,
                failed: 0,
            },
            Err(error) => {
                say::step("test", format_args!("FAILED: {error:#}"));
                Self {
                    passed: 0,
                    failed: 1,
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
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
    report.check("the lab itself", lab::checks);
    report.check("the main job, scraped", main_job::check);
    if besides {
        report.check("the service", service::check);
    }
    report.guests(&series, besides);
    Ok(report.print())
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

/// What was done, how it went and how long it took.
#[derive(Default)]
struct Report {
    rows: Vec<(String, Count, f32)>,
}

impl Report {
    fn check(&mut self, name: &str, work: impl FnOnce() -> Count) {
        say::step("test", name);
        let start = Instant::now();
        let count = work();
        self.rows
            .push((name.to_owned(), count, start.elapsed().as_secs_f32()));
    }

    fn guests(&mut self, series: &[String], besides: bool) {
        say::step(
            "test",
            format_args!("kernel tests on {}", series.join(", ")),
        );
        match guests::test(series, besides) {
            Ok(rows) => {
                let rows = rows.into_iter();
                self.rows
                    .extend(rows.map(|(name, count, it)| (format!("kernel {name}"), count, it)));
            }
            Err(error) => self.check("kernel tests", || Count::of_one(Err(error))),
        }
    }

    /// Prints the table and the line that continuous integration reads.
    fn print(&self) -> ExitCode {
        let mut total = Count::default();
        println!(
            "\n{:<28} {:>7} {:>7} {:>9}",
            "check", "passed", "failed", "seconds"
        );
        for (name, count, seconds) in &self.rows {
            println!(
                "{name:<28} {:>7} {:>7} {seconds:>9.1}",
                count.passed, count.failed
            );
            total.add(*count);
        }
        println!("\n{} passed, {} failed", total.passed, total.failed);
        if total.failed == 0 {
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
