//! `cargo xtask kernels add`: a series comes into the lab, and the agent learns its facts.
//! Leaves out what is decided from them, which is the agent's plan.

use std::{fs, process::Command};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{Flavour, Locked, archive, changes, facts, lock, numbers, order, store};
use crate::{
    arch::Arch,
    build,
    debian::apt::Apt,
    matrix::{
        cell::{Cell, Mode, Outcome, Set, Work},
        verifier,
    },
    paths, process, refused, say, setup,
};

/// Locks the newest release of the series, boots it, writes what it is like into the repository
/// and prints what changed from the series before it.
pub(crate) fn add(series: &str) -> anyhow::Result<()> {
    check_name(series)?;
    let locked = lock_newest(series)?;
    if !Flavour::of_kernel(series).has_facts() {
        return store::bring(&locked).map(drop);
    }
    let arch = Arch::of_kernel(series);
    setup::all(arch)?;
    store::bring(&locked)?;
    build::all(arch)?;
    say::step("kernels", format_args!("booting {}", locked.release));
    let (cell, outcome) = boot(series);
    let found = outcome
        .facts
        .clone()
        .with_context(|| format!("the guest of {series} gave no facts"))?;
    if let Some(told) = outcome.failed.first() {
        bail!("{}", told.why);
    }
    facts::write(series, &found)?;
    let mut verified = verifier::Record::read()?;
    verified.update(&[(cell, outcome)]);
    verified.write()?;
    write_document()?;
    print_changes(series, &found, &verified)?;
    println!(
        "written: xtask/kernels.lock, hooks/facts/{series}.json, hooks/facts/verifier.txt and \
         docs/kernels.md; next: cargo xtask matrix --kernel {series} --record"
    );
    Ok(())
}

/// What is not known of a name would pass for the usual kernel.
fn check_name(series: &str) -> anyhow::Result<()> {
    // x86 is what a name without an architecture means.
    let others = Arch::ALL.iter().filter(|it| **it != Arch::X86_64);
    let known: Vec<_> = others
        .map(|it| it.debian())
        .chain(Flavour::words())
        .collect();
    match series.split('-').skip(1).find(|word| !known.contains(word)) {
        Some(word) => Err(refused(format!(
            "the lab knows no kernels of the kind `{word}`; {series} may be such as 7.4, 7.4-arm64, \
             7.4-generic or 7.4-rt"
        ))),
        None => Ok(()),
    }
}

fn lock_newest(series: &str) -> anyhow::Result<Locked> {
    let _only_one = setup::lock()?;
    Apt::ready(Arch::of_kernel(series))?.update()?;
    let newest = archive::newest(series)?
        .ok_or_else(|| refused(format!("Debian's archive has no kernel of series {series}")))?;
    let mut all = lock::read()?;
    all.retain(|locked| locked.series != series);
    all.push(newest.clone());
    all.sort_by_key(|locked| order(&locked.series));
    lock::write(&all)?;
    say::step(
        "kernels",
        format_args!("{series}: locked {}", newest.release),
    );
    Ok(newest)
}

fn boot(series: &str) -> (Cell, Outcome) {
    let cell = Cell {
        kernel: series.to_owned(),
        mode: Mode::Auto,
        work: Work {
            set: Set::Usual,
            tests: None,
            either_way: false,
            verifier: true,
        },
    };
    let outcome = cell.run();
    (cell, outcome)
}

/// The own test of the crate `hooks` writes it: the plan is made there.
pub(crate) fn write_document() -> anyhow::Result<()> {
    process::output(
        Command::new("cargo")
            .args(["test", "--quiet", "--package", "hooks", "--test", "kernels"])
            .arg("the_document_says_what_each_kernel_gives")
            .env("PINSCOPE_WRITE_DOCS", "1")
            .current_dir(paths::root()),
    )
    .context("cannot write docs/kernels.md")
    .map(drop)
}

fn print_changes(series: &str, found: &Value, verified: &verifier::Record) -> anyhow::Result<()> {
    let all = super::series()?;
    let Some(before) = compared_with(series, &all) else {
        println!("there is nothing to compare {series} with");
        return Ok(());
    };
    let old = facts::read(before)?;
    let document = fs::read_to_string(paths::root().join("docs/kernels.md"))?;
    for (title, lines) in [
        ("facts", changes::of_facts(&old, found)),
        ("plan", changes::of_document(&document, before, series)),
        ("verifier", verified.between(before, series)),
    ] {
        println!("{title}, {series} against {before}:");
        if lines.is_empty() {
            println!("  nothing changed");
        }
        for line in lines {
            println!("  {line}");
        }
    }
    Ok(())
}

/// The usual kernel of the same series, and of that the one before it.
fn compared_with<'a>(series: &str, all: &'a [String]) -> Option<&'a str> {
    let arch = Arch::of_kernel(series);
    let usual =
        |it: &&String| Arch::of_kernel(it) == arch && Flavour::of_kernel(it) == Flavour::Cloud;
    let mut usual = all.iter().filter(usual).map(String::as_str);
    match Flavour::of_kernel(series) {
        Flavour::Cloud => usual.take_while(|it| *it != series).last(),
        Flavour::Generic | Flavour::Rt | Flavour::LargePages => {
            usual.find(|it| numbers(it) == numbers(series))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{check_name, compared_with};

    #[test]
    fn a_kernel_is_compared_with_the_one_before_and_a_flavour_with_the_usual_one() {
        let all = ["6.12", "6.12-rt", "6.16", "6.12-arm64"].map(str::to_owned);
        assert_eq!(compared_with("6.16", &all), Some("6.12"));
        assert_eq!(compared_with("6.12-rt", &all), Some("6.12"));
        assert_eq!(compared_with("6.12", &all), None);
        assert_eq!(compared_with("6.12-arm64", &all), None);
    }

    #[test]
    fn a_kind_of_kernel_that_the_lab_does_not_know_is_refused_by_name() {
        for series in [
            "7.4",
            "7.4-generic",
            "7.4-rt",
            "7.4-arm64",
            "7.4-arm64-generic",
        ] {
            check_name(series).unwrap();
        }
        for series in ["7.4-frob", "7.4-amd64", "7.4-arm64-cloud"] {
            let told = check_name(series).unwrap_err().to_string();
            assert!(told.contains(series.rsplit('-').next().unwrap()), "{told}");
        }
    }
}
