//! Has the kernel side walk over every `struct page`, a slice at a time. What is found is
//! judged elsewhere.

use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

use aya::{maps::MapData, programs::ProgramFd};
use hooks::Facts;
use probe_abi::{ABSENT, CENSUS_FOUND, CENSUS_SECTIONS, Census, Counted, Folio};

use super::{
    judgement::{self, FlagBits},
    maps::Shared,
    sys::{bpf, page_bytes},
};
use crate::error::AgentError;

/// Roots of the sections that are looked through: more than any machine has.
const ROOTS: u64 = 1 << 13;

/// Memory comes and goes in pieces of so many bytes (`SUBSECTION_SHIFT`).
const PIECE: u64 = 2 << 20;

/// The same in pages.
fn stride(page_bytes: u64) -> u64 {
    (PIECE / page_bytes).max(1)
}

/// In how many runs the sections of a root are looked through: it is a page of them
/// (`SECTIONS_PER_ROOT`).
fn parts_of_root(page_bytes: u64, section_bytes: u64) -> u64 {
    (page_bytes / section_bytes.max(1))
        .div_ceil(CENSUS_SECTIONS)
        .max(1)
}

/// The program, and where it is asked and answers.
pub(crate) struct Walker {
    program: ProgramFd,
    state: Shared,
    found: Shared,
    question: Census,
    marks: Marks,
}

/// By what the kernel marks a page.
#[derive(Clone, Copy, Debug)]
struct Marks {
    bits: FlagBits,
    /// `PG_lru` and `PG_reserved`: on a page that nothing else says is a user's, one of both
    /// says so.
    of_users: u64,
    /// What the type of a hugetlb folio has in its highest byte, and its destructor; each where
    /// the kernel has it.
    hugetlb_type: Option<u64>,
    hugetlb_dtor: Option<u64>,
}

/// What a slice of the walk came to.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// The frame to go on at.
    pub(crate) next: u64,
    pub(crate) looked_at: u64,
    pub(crate) absent: u64,
    /// How long it took, the system call included, and how long the program had the CPU.
    pub(crate) took: Duration,
    pub(crate) held: Duration,
    pub(crate) counted: Vec<Counted>,
}

impl Walker {
    /// Learns where the `struct page`s are.
    pub(crate) fn new(
        program: ProgramFd,
        [state, found]: [&MapData; 2],
        facts: &Facts,
    ) -> Result<Self, AgentError> {
        let enumerator = |name: &str| facts.enumerators.get(name).copied();
        let bit = |name: &str| enumerator(name).map_or(64, |it| it as u32);
        let mask = |name: &str| enumerator(name).map_or(0, |it| 1 << (it & 63));
        let member = |name: &str| facts.members.get(name).copied();
        let (Some(symbol), Some(map), Some(bytes)) = (
            facts.symbols.get("mem_section").filter(|it| it.start != 0),
            member("mem_section.section_mem_map"),
            facts.sizes.get("mem_section"),
        ) else {
            return Err(no_pages(
                "/proc/kallsyms or BTF do not show mem_section: it takes CAP_SYSLOG, \
                 kernel.kptr_restrict below 2, and a kernel with CONFIG_KALLSYMS_ALL and CONFIG_SPARSEMEM",
            ));
        };
        let mut walker = Self {
            program,
            state: Shared::new(state, "CENSUS", size_of::<Census>())?,
            found: Shared::new(found, "CENSUS_FOUND", CENSUS_FOUND * size_of::<Counted>())?,
            question: Census {
                sections: symbol.start,
                section_bytes: u64::from(*bytes),
                section_map: u64::from(map),
                dtor: u64::from(member("page.compound_dtor").unwrap_or(ABSENT)),
                stride: stride(page_bytes()),
                ..Census::default()
            },
            marks: Marks {
                bits: FlagBits {
                    private: bit("PG_private"),
                    swap_cache: bit("PG_swapcache"),
                },
                of_users: mask("PG_lru") | mask("PG_reserved"),
                hugetlb_type: enumerator("PGTY_hugetlb"),
                hugetlb_dtor: enumerator("HUGETLB_PAGE_DTOR"),
            },
        };
        walker.question.base = walker.learn_base()?;
        Ok(walker)
    }

    fn learn_base(&self) -> Result<u64, AgentError> {
        let parts = parts_of_root(page_bytes(), self.question.section_bytes);
        for (root, part) in (0..ROOTS).flat_map(|root| (0..parts).map(move |it| (root, it))) {
            // A run looks at the first sections of what it is given.
            let passed = part * CENSUS_SECTIONS * self.question.section_bytes;
            let question = Census {
                section_map: self.question.section_map + passed,
                ..self.question
            };
            let after = self.ask(&question, [Census::LEARN_BASE, root])?;
            match after.base {
                0 => {}
                u64::MAX => {
                    return Err(no_pages(
                        "they are not one array: the kernel is built without \
                         CONFIG_SPARSEMEM_VMEMMAP",
                    ));
                }
                base => return Ok(base),
            }
        }
        Err(no_pages("no section of memory has any"))
    }

    fn ask(&self, question: &Census, arguments: [u64; 2]) -> Result<Census, AgentError> {
        self.state.write(0, question);
        let run = bpf::run_once(&self.program, &arguments);
        run.map_err(cannot_run)?;
        Ok(self.state.copy(0))
    }

    /// Walks from the beginning of a range for at most so long. `is_first` says that the range
    /// may begin in the middle of a folio.
    pub(crate) fn slice(
        &self,
        range: Range<u64>,
        is_first: bool,
        at_most: Duration,
    ) -> Result<Slice, AgentError> {
        let question = Census {
            next: range.start,
            end: range.end,
            first: u64::from(is_first),
            until_ns: at_most.as_nanos() as u64,
            ..self.question
        };
        let began = Instant::now();
        let after = self.ask(&question, [Census::WALK, 0])?;
        let took = began.elapsed();
        let found = (after.found as usize).min(CENSUS_FOUND);
        let counted = (0..found).map(|it| self.found.copy(it * size_of::<Counted>()));
        Ok(Slice {
            next: after.next,
            looked_at: after.looked_at,
            absent: after.absent,
            took,
            held: Duration::from_nanos(after.took_ns),
            counted: counted.collect(),
        })
    }

    /// How many pins a folio has; `None` where that cannot be told. Plain references are none, as long as there
    /// are fewer than a pin counts.
    pub(crate) fn pins(&self, counted: &Counted) -> Option<u64> {
        let folio = &counted.folio;
        let marked = folio.flags & self.marks.of_users != 0;
        if folio.state == Folio::SMALL && !judgement::is_of_something(folio) && !marked {
            return Some(0);
        }
        Some(judgement::held(folio, 0, self.marks.bits)?.fit)
    }

    /// Whether it is a hugetlb folio, as far as the folio itself says.
    pub(crate) fn is_hugetlb(&self, counted: &Counted) -> bool {
        let is = |of: Option<u64>, value: u32| of == Some(u64::from(value));
        counted.folio.pages > 1
            && (is(self.marks.hugetlb_type, counted.page_type >> 24)
                || is(self.marks.hugetlb_dtor, counted.dtor))
    }
}

fn no_pages(why: &str) -> AgentError {
    AgentError::Unfit {
        why: Some(format!(
            "where the kernel has its struct pages cannot be told: {why}"
        )),
    }
}

fn cannot_run(source: io::Error) -> AgentError {
    AgentError::System {
        what: "cannot run the program that walks over all pages",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_memory_is_a_power_of_two_of_pages_whatever_a_page_is() {
        for (page_bytes, pages) in [(4 << 10, 512), (16 << 10, 128), (64 << 10, 32)] {
            assert_eq!(stride(page_bytes), pages);
        }
    }

    #[test]
    fn all_sections_of_a_root_are_looked_through_whatever_a_page_is() {
        for (page_bytes, section_bytes, parts) in [
            (4 << 10, 16, 2),
            (4 << 10, 32, 1),
            (16 << 10, 16, 8),
            (64 << 10, 32, 16),
        ] {
            assert_eq!(parts_of_root(page_bytes, section_bytes), parts);
            // And nothing behind them.
            assert_eq!(parts * CENSUS_SECTIONS * section_bytes, page_bytes);
        }
    }
}
