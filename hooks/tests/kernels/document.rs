//! `docs/kernels.md`: what each kernel gives in either way of attaching, and what it does not and
//! why. Made from the facts through the plan, less what the verifier refused there.
//!
//! `PINSCOPE_WRITE_DOCS=1 cargo test -p hooks --test kernels` writes it.

use std::{collections::BTreeMap, env, fs, path::Path};

use hooks::{
    Attach, Entries, Facts, HOOKS, Method, Reject, Step, layout, obstacle, plan, program_names,
};
use probe_abi::{ABSENT, Layout};

use super::{facts_of_each_kernel, in_facts};

const HEAD: &str = "\
# What each kernel gives

<!-- Made from hooks/facts by hooks/tests/kernels/document.rs; `cargo xtask kernels add` rewrites it. -->

pinscope asks the running kernel for all of this; `pinscope doctor` says which hooks it would use there. Here it is for the kernels
of the lab, which are Debian's `cloud-amd64` builds and where the name says so `cloud-arm64`, for a process that is root.
";

/// What the facts do not say and the tests on the kernel did.
const SEEN: &str = "
## Seen there

What is attached and still sees less than elsewhere:

- 5.10 by fentry: the compiler split `bio_release_pages()`, direct reads go round what is left of it, and fentry cannot
  attach to the other part. The self-test finds that, and what the hook feeds is withheld
  (`pinscope_references_released_total`, `pinscope_references`). By kprobes the part itself is hooked.
- Of a function that a kretprobe sees return, as many calls may be under way at once as the kernel keeps instances: pinscope
  asks for 2,048 through tracefs. Where it may not write there (a service), the kernel decides: one for each CPU on 5.10, at
  least ten and two for each CPU later. What is more shows as `hook_missed` at once, and as `return_missed` when its thread waits in
  such a call again or ends. With fentry in use this is about
  `get_user_pages_remote` and `pin_user_pages_remote` on 5.10 and 6.1, with kprobes about every function, and where the kernel is
  preemptible, by itself, about what only tasks call.
- 5.10: the probes' loops are bounded: of a call that takes more than 131,072 pages the rest is counted and not entered in
  the ledger (`truncated`, and `unknown_release` when it is released).
";

/// A part of the layout that a kernel may lack, and what is off without it.
struct Part {
    what: &'static str,
    has: fn(&Layout) -> bool,
    without: &'static str,
}

const PARTS: &[Part] = &[
    Part {
        what: "mapcount of a large folio in one read (`folio._large_mapcount`)",
        has: |it| it.large_mapcount != ABSENT,
        without: "estimators that compare mapcounts are uncertain on large folios",
    },
    Part {
        what: "pins that a longterm call rolls back itself (`FOLL_LONGTERM`)",
        has: |it| it.foll_longterm != ABSENT,
        without: "a release inside any pin call counts as rolled back by that call; reports have the \
                  flag from the self-test",
    },
    Part {
        what: "interrupts told from the thread that they came in on (`__preempt_count`, `pcpu_hot` or `thread_info`)",
        has: |it| it.preempt_count != 0 || it.task_preempt_count != ABSENT,
        without: "a release by an interrupt inside a pin call counts as rolled back by that call",
    },
];

/// One kernel in one mode.
struct Column {
    kernel: String,
    obstacle: Option<String>,
    steps: Vec<Step>,
}

impl Column {
    fn new(kernel: &str, facts: &Facts, attach: Attach) -> Self {
        let mut steps = plan(facts, attach);
        let refused = refused_programs(kernel);
        for step in &mut steps {
            for (candidate, mut methods) in std::mem::take(&mut step.usable) {
                methods.retain(|method| {
                    let programs = program_names(candidate, *method, Entries::Needed);
                    !programs.iter().any(|it| refused.contains(it))
                });
                if methods.is_empty() {
                    let why = Reject::Refused {
                        why: "by the verifier".to_owned(),
                        errno: None,
                    };
                    step.rejected.push((candidate.symbol, why));
                } else {
                    step.usable.push((candidate, methods));
                }
            }
        }
        Self {
            kernel: kernel.to_owned(),
            obstacle: obstacle(facts, &steps, attach).map(|it| it.to_string()),
            steps,
        }
    }

    fn summary(&self) -> String {
        if let Some(why) = &self.obstacle {
            return format!("does not run: {why}");
        }
        let needed = self.steps.iter().filter(|step| !step.not_needed);
        let unattached: Vec<_> = needed
            .clone()
            .filter(|step| step.stays_unattached())
            .map(|step| format!("`{}`", step.hook.name))
            .collect();
        let all = needed.count();
        match unattached.as_slice() {
            [] => format!("all {all} hooks"),
            some => format!(
                "{} of {all} hooks; not {}",
                all - some.len(),
                some.join(", ")
            ),
        }
    }
}

/// Programs that `hooks/facts/verifier.txt` has as refused on this kernel.
fn refused_programs(kernel: &str) -> Vec<String> {
    let text = fs::read_to_string(in_facts("verifier.txt")).unwrap_or_default();
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let head = lines.next().unwrap_or_default();
    let Some(place) = head.iter().position(|it| *it == kernel) else {
        return Vec::new();
    };
    lines
        .filter(|words| words.get(place) == Some(&"refused"))
        .map(|words| words[0].to_owned())
        .collect()
}

fn document() -> String {
    let facts = facts_of_each_kernel();
    let columns = |attach| -> Vec<Column> {
        facts
            .iter()
            .map(|(kernel, facts)| Column::new(kernel, facts, attach))
            .collect()
    };
    let (fentry, kprobe) = (columns(Attach::Fentry), columns(Attach::Kprobe));
    let mut text = HEAD.to_owned();
    text += "\n| kernel | release | by fentry | by kprobes |\n| --- | --- | --- | --- |\n";
    for ((kernel, facts), (fentry, kprobe)) in facts.iter().zip(fentry.iter().zip(&kprobe)) {
        let (fentry, kprobe) = (fentry.summary(), kprobe.summary());
        text += &format!("| {kernel} | {} | {fentry} | {kprobe} |\n", facts.release);
    }
    text += &format!(
        "\n## Hooks\n\n`f`: served by fentry, `k`: by kprobes, `s`: recognised on the stack, `·`: \
         nothing to see on that kernel, **`?`**: blind, `–`: not asked, for pinscope does not run there.\n\n{}",
        table(&facts, |hook, place| cell(
            &fentry[place],
            &kprobe[place],
            hook
        ))
    );
    text += &format!(
        "\n## Functions\n\nWhere one of several functions serves a hook:\n\n{}",
        functions(&facts, &fentry, &kprobe)
    );
    text += &format!("\n## Absent, and why\n\n{}", absent(&[&fentry, &kprobe]));
    text += SEEN;
    text += &format!("\n## Layout\n\n{}", parts(&facts));
    text
}

/// A row for each hook, a column for each kernel.
fn table(facts: &[(String, Facts)], cell: impl Fn(usize, usize) -> String) -> String {
    let mut text = head("hook", facts);
    for (hook, it) in HOOKS.iter().enumerate() {
        let cells: Vec<_> = (0..facts.len()).map(|place| cell(hook, place)).collect();
        text += &format!("| `{}` | {} |\n", it.name, cells.join(" | "));
    }
    text
}

fn head(first: &str, facts: &[(String, Facts)]) -> String {
    let names: Vec<_> = facts.iter().map(|(kernel, _)| kernel.as_str()).collect();
    let rule = " --- |".repeat(names.len() + 1);
    format!("| {first} | {} |\n|{rule}\n", names.join(" | "))
}

fn cell(fentry: &Column, kprobe: &Column, hook: usize) -> String {
    if fentry.obstacle.is_some() && kprobe.obstacle.is_some() {
        return "–".to_owned();
    }
    let ways: Vec<_> = [fentry, kprobe]
        .iter()
        .filter_map(|column| column.steps[hook].usable.first()?.1.first())
        .map(|method| match method {
            Method::Fentry => "f",
            Method::Kprobe => "k",
            Method::Both => "f+k",
            Method::Stack => "s",
        })
        .collect();
    match ways.as_slice() {
        [] if fentry.steps[hook].not_needed => "·".to_owned(),
        [] => "**?**".to_owned(),
        ["s", "s"] => "s".to_owned(),
        ways => ways.join(" "),
    }
}

fn functions(facts: &[(String, Facts)], fentry: &[Column], kprobe: &[Column]) -> String {
    let mut text = head("hook", facts);
    for (number, hook) in HOOKS
        .iter()
        .enumerate()
        .filter(|(_, it)| it.candidates.len() > 1)
    {
        let cells: Vec<_> = fentry
            .iter()
            .zip(kprobe)
            .map(|(fentry, kprobe)| {
                let of = |column: &Column| Some(column.steps[number].usable.first()?.0.symbol);
                of(fentry)
                    .or_else(|| of(kprobe))
                    .map_or_else(|| "·".to_owned(), |symbol| format!("`{symbol}`"))
            })
            .collect();
        text += &format!("| `{}` | {} |\n", hook.name, cells.join(" | "));
    }
    text
}

/// What is rejected, each reason once with the kernels that it holds on. Kernels that cannot
/// be traced at all are above.
fn absent(modes: &[&[Column]; 2]) -> String {
    let mut found: BTreeMap<(usize, &str, String), Vec<String>> = BTreeMap::new();
    for (columns, mode) in modes.iter().zip(["by fentry on", "by kprobes on"]) {
        for column in columns.iter().filter(|it| it.obstacle.is_none()) {
            for (number, step) in column.steps.iter().enumerate() {
                for (symbol, why) in &step.rejected {
                    let told = found.entry((number, symbol, why.to_string())).or_default();
                    told.push(format!("{mode} {}", column.kernel));
                }
            }
        }
    }
    let kernels = modes[0].iter().filter(|it| it.obstacle.is_none()).count();
    let mut text = "| hook | function | why not | where |\n| --- | --- | --- | --- |\n".to_owned();
    for ((number, symbol, why), places) in found {
        let hook = HOOKS[number].name;
        text += &format!(
            "| `{hook}` | `{symbol}` | {why} | {} |\n",
            told(&places, kernels)
        );
    }
    text
}

/// The kernels, and the mode only where it matters.
fn told(places: &[String], kernels: usize) -> String {
    let of = |mode: &str| -> Vec<&str> {
        places
            .iter()
            .filter_map(|it| it.strip_prefix(mode))
            .collect()
    };
    let (fentry, kprobe) = (of("by fentry on "), of("by kprobes on "));
    if fentry == kprobe {
        return if fentry.len() == kernels {
            "everywhere".to_owned()
        } else {
            fentry.join(", ")
        };
    }
    [("by fentry", fentry), ("by kprobes", kprobe)]
        .iter()
        .filter(|(_, kernels)| !kernels.is_empty())
        .map(|(mode, kernels)| format!("{mode} on {}", kernels.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}

fn parts(facts: &[(String, Facts)]) -> String {
    let layouts: Vec<_> = facts
        .iter()
        .map(|(_, facts)| layout(facts).expect("a kernel of the lab has a layout"))
        .collect();
    let mut text = head("what the kernel tells", facts).replacen(" |\n", " | without it |\n", 1);
    text = text.replacen(" --- |\n", " --- | --- |\n", 1);
    for part in PARTS {
        let cells: Vec<_> = layouts
            .iter()
            .map(|layout| if (part.has)(layout) { "yes" } else { "**no**" })
            .collect();
        text += &format!(
            "| {} | {} | {} |\n",
            part.what,
            cells.join(" | "),
            part.without
        );
    }
    text
}

#[test]
fn the_document_says_what_each_kernel_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kernels.md");
    let wanted = document();
    if env::var_os("PINSCOPE_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/kernels.md is not what hooks/facts say; PINSCOPE_WRITE_DOCS=1 writes it:\n{wanted}"
    );
}
