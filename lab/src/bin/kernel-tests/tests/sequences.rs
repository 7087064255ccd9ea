//! Who has what after any order of pins and releases on the same folios, by several who are known:
//! as their own book has it.

use std::{fs, iter};

use anyhow::{Context, Result, ensure};
use btf_rs::Type;

use crate::bench::Bench;
use crate::books::SETTLED_WITHIN;
use crate::company::Company;
use crate::holders::{Report, ask, until_pinned};
use crate::metrics::Metrics;
use crate::wait::{Look, until};
use lab::{absent::absent, btf};

const UDMABUF: &str = "/dev/udmabuf";

/// Pages of each buffer.
const PAGES: usize = 4;

/// Pins, and what follows them in every order.
const ORDERS: [(&str, &[&str]); 7] = [
    ("A+ B+ C+", &["A-", "B-", "C-"]),
    ("A+ A+ B+ B+", &["A-", "A-", "B-", "B-"]),
    ("A+ B+ A+ B+", &["A-", "A-", "B-", "B-"]),
    ("A+ B+ B+ A+", &["A-", "A-", "B-", "B-"]),
    ("A+ B+ C+", &["Ax", "Bx", "Cx"]),
    ("A+ B+ A+ B+", &["Ax", "Ax", "Bx", "Bx"]),
    ("A+ B+ C+", &["A!", "B!", "C!"]),
];

/// Rings that are passed on, inherited, closed by one of two, used again.
const OTHERS: [&str; 24] = [
    "A+ B+ A>B B- B-",
    "A+ B+ A>B B! A+",
    "A+ B+ A>B A! B-",
    "A+ B+ A>B Bx Bx",
    "B+ A+ A>B A! Bx",
    "A+ A+ A>B A- B-",
    "A+ B+ A>C B>C C- C-",
    "A+ B+ A>C B>C C!",
    "A+ A& A! a-",
    "A+ A& A! a!",
    "A+ A& a! A-",
    "A+ B+ A& A! B- a-",
    "A+ B+ A& Ax B- ax",
    "A+ A& a+ A- a-",
    "A+ A& a+ a- a- A+",
    "A+ A+ A& a- A- B+",
    "A+ B+ A- A+ B- A-",
    "A+ B+ A! A+ B- A-",
    "A+ A- B+ A+ B- A-",
    "A+ Ax A+ B+ Bx Ax",
    "A+ B+ C+ B! C- A-",
    "A+ B+ A+ A! B-",
    "A+ A& B+ A! B! a-",
    "A+ A+ A+ B+ A- A- B-",
];

/// More rings over one buffer than a folio has slots: what one process has of them stands in part in
/// the name of another of its rings. Whoever had none there would have no name: each has pinned
/// before, and goes on to have something.
const CROWD: [&str; 5] = [
    "A+ B+ A+ A& a+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+ A+",
    "B+ a+ B+ A- A- Ax Ax B- Bx A+ A+ ax",
    "A>C A>C A>C Cx A>B Bx A>a ax A+ B+",
    "A>B A>B A>a A>a B+ a+ A+ Bx ax A+ Ax",
    "C! A! B+ B+ a+ a+ Bx ax",
];

/// The same by somebody else's system call.
const RELEASED_BY_OTHERS: [&str; 3] = [
    "A>C C- A>B B- A>a a- B+ a+",
    "A>B A>B A>a B- B- a- A+ A+",
    "A! a+ a- a+ B+",
];

pub(super) fn of_more_rings_than_the_ledger_tells_apart_each_process_has_its_own(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let before = missed(&agent.scrape()?);
    let may_guess = !tells_the_ring()?;
    let scripts = [CROWD.to_vec(), [&CROWD[..4], &RELEASED_BY_OTHERS].concat()];
    for script in scripts {
        let mut company = Company::start(bench, PAGES)?;
        for part in &script {
            for step in part.split(' ') {
                company.step(step).context(*part)?;
            }
            let in_doubt = check(bench, &[(*part).to_owned()], [&company])?;
            let grown = missed(&agent.scrape()?) - before;
            ensure!(
                in_doubt.is_empty() || grown > 0 || may_guess,
                "after {part} it is a guess, and no release was missed"
            );
        }
        company.end()?;
        until_pinned(bench, 0)?;
    }
    Ok(())
}

pub(super) fn after_any_order_of_pins_and_releases_each_owner_has_what_is_its_own(
    bench: &Bench,
) -> Result<()> {
    let agent = bench.shared_agent(&[])?;
    let before = missed(&agent.scrape()?);
    let may_guess = !tells_the_ring()?;
    let scripts = scripts();
    ensure!(scripts.len() >= 60, "only {} orders", scripts.len());
    let mut companies = Vec::new();
    for script in &scripts {
        companies.push((Company::start(bench, PAGES)?, script.split(' ')));
    }
    for round in 1.. {
        let mut steps = 0;
        for (company, script) in &mut companies {
            if let Some(step) = script.next() {
                company.step(step)?;
                steps += 1;
            }
        }
        if steps == 0 {
            break;
        }
        let all = companies.iter().map(|(company, _)| company);
        let in_doubt =
            check(bench, &scripts, all).with_context(|| format!("after step {round}"))?;
        let grown = missed(&agent.scrape()?) - before;
        ensure!(
            in_doubt.is_empty() || grown > 0 || may_guess,
            "after step {round} these are a guess, and no release was missed: {in_doubt:?}"
        );
    }
    println!("     {} orders", scripts.len());
    for (company, _) in companies {
        company.end()?;
    }
    until_pinned(bench, 0)
}

/// What another process's ring pinned, and a request in flight kept: whose it is, the release does not
/// say.
const KEPT_IN_FLIGHT: [&str; 2] = ["A+ A& a+ a~", "A+ A& B+ a+ a~ B- a-"];

pub(super) fn what_a_request_kept_is_released_rightly_or_told_as_a_guess(
    bench: &Bench,
) -> Result<()> {
    let _agent = bench.shared_agent(&[])?;
    right_or_guessed(bench, &KEPT_IN_FLIGHT)
}

fn right_or_guessed(bench: &Bench, scripts: &[&str]) -> Result<()> {
    for script in scripts {
        let mut company = Company::start(bench, PAGES)?;
        for step in script.split(' ') {
            company.step(step).context((*script).to_owned())?;
            check(bench, &[(*script).to_owned()], [&company])?;
        }
        company.end()?;
        until_pinned(bench, 0)?;
    }
    Ok(())
}

/// A pins by a dma-buf, which B closes last and has pins of the same pages.
const CLOSED_BY_ANOTHER: [&str; 3] = [
    "A% B+ A>B Bx B-",
    "A% B% A>B Bx Bx",
    "A% B% B% A>B Bx Bx Bx",
];

pub(super) fn what_another_one_closes_is_released_rightly_or_told_as_a_guess(
    bench: &Bench,
) -> Result<()> {
    if !fs::exists(UDMABUF)? {
        return Err(absent(format!("this kernel has no {UDMABUF}")));
    }
    let _agent = bench.shared_agent(&[])?;
    right_or_guessed(bench, &CLOSED_BY_ANOTHER)
}

/// Pins whose release no program saw: the kernel skips one that interrupts itself.
fn missed(now: &Metrics) -> i64 {
    now.sum_with("pinscope_repaired_total", &[("cause", "release_missed")])
}

/// Right within the time that is given to a ledger that has to be put right; most often at once.
/// The orders that are told as a guess.
pub(super) fn check<'a>(
    bench: &Bench,
    scripts: &[String],
    companies: impl IntoIterator<Item = &'a Company>,
) -> Result<Vec<String>> {
    let companies: Vec<_> = companies.into_iter().collect();
    let pages: i64 = companies.iter().map(|it| it.pages()).sum();
    until("rows as the owners have them", SETTLED_WITHIN, || {
        let report = ask(bench, "process", &["--top", "10000"])?;
        let mut in_doubt = Vec::new();
        let mut wrong = Vec::new();
        for (script, company) in iter::zip(scripts, &companies) {
            match told(company, &report) {
                Told::Right => {}
                Told::AsAGuess => in_doubt.push(script.clone()),
                Told::Wrong(rows) => wrong.push(format!("{script}: {rows}")),
            }
        }
        let is_whole = report.pins == pages
            && report.kernel_pins == pages
            && report.unreconciled_pins == 0
            && report.sum() == pages;
        Ok(if is_whole && wrong.is_empty() {
            Look::Done(in_doubt)
        } else {
            Look::NotYet(format!(
                "{pages} pages are pinned, told are {} ({} by the kernel, difference {}, rows {}); \
                 {} orders are told wrongly: {}",
                report.pins,
                report.kernel_pins,
                report.unreconciled_pins,
                report.sum(),
                wrong.len(),
                wrong.join("; ")
            ))
        })
    })
}

/// What is told of a company's members.
enum Told {
    Right,
    /// Their sum is right, and nobody has less than what is told of it and no guess.
    AsAGuess,
    Wrong(String),
}

fn told(company: &Company, report: &Report) -> Told {
    let rows = |pid| {
        let theirs = report.of_pid(pid).into_iter();
        let told = theirs.map(|row| {
            let life = row.about["process"]["life"].as_str().unwrap_or_default();
            (row.pins.value, row.guessed_pins, life)
        });
        told.collect::<Vec<_>>()
    };
    let life = |lives| if lives { "alive" } else { "ended" };
    let mut members = company.members.iter();
    if members.all(|it| match rows(it.pid)[..] {
        [] => it.pages == 0,
        [told] => told == (it.pages, 0, life(it.lives)),
        _ => false,
    }) {
        return Told::Right;
    }
    let members = company.members.iter();
    let all: Vec<_> = members.clone().flat_map(|it| rows(it.pid)).collect();
    let sum: i64 = all.iter().map(|(pins, ..)| pins).sum();
    let mut each = members.clone();
    let has_what_is_sure = each.all(|it| match rows(it.pid)[..] {
        [] => true,
        [(pins, guessed, _)] => pins - guessed <= it.pages,
        _ => false,
    });
    if sum == company.pages() && has_what_is_sure && all.iter().any(|it| it.1 > 0) {
        return Told::AsAGuess;
    }
    let each = members.map(|it| format!("{it:?} is {:?}", rows(it.pid)));
    Told::Wrong(each.collect::<Vec<_>>().join(", "))
}

/// Whether programs see what a system call was asked for, and with it the ring that gives a buffer
/// back (Linux 5.17). Without, a release beside another process's pins is a guess.
fn tells_the_ring() -> Result<bool> {
    let btf = btf::kernel()?;
    for id in btf.resolve_ids_by_name("bpf_func_id")? {
        if let Type::Enum(helpers) = btf.resolve_type_by_id(id)? {
            let names = helpers.members.iter().map(|it| btf.resolve_name(it));
            return Ok(names.flatten().any(|it| it == "BPF_FUNC_loop"));
        }
    }
    anyhow::bail!("the kernel's BTF has no list of helpers")
}

fn scripts() -> Vec<String> {
    let others = OTHERS.iter().map(|it| (*it).to_owned());
    let orders = ORDERS.iter().flat_map(|(pins, rest)| {
        let ends = orders(rest).into_iter();
        ends.map(move |end| format!("{pins} {}", end.join(" ")))
    });
    orders.chain(others).collect()
}

/// Every order of these, each once.
fn orders<'a>(steps: &[&'a str]) -> Vec<Vec<&'a str>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in steps.iter().enumerate() {
        if steps[..at].contains(first) {
            continue;
        }
        let mut rest = steps.to_vec();
        rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, first);
            all.push(order);
        }
    }
    all
}
