//! Asking the kernel by programs that are attached to nothing: what a pointer stands for,
//! how folios and processes are, what is counted; and having the ledger changed. Each is
//! run by `BPF_PROG_TEST_RUN` of a raw tracepoint program (Linux 5.10), and works on an
//! array that is mapped here.

use std::{cell::Cell, io};

use aya::{maps::MapData, programs::ProgramFd};
use bytemuck::{Pod, Zeroable};
use log::debug;
use probe_abi::{
    AMENDMENTS_AT_ONCE, Amendment, Answer, FOLIOS_AT_ONCE, Folio, Node, PROCESSES_AT_ONCE, Process,
    Query,
};

use super::{
    maps::Shared,
    sys::bpf,
    vmstat::{PinCounts, online_nodes},
};
use crate::error::AgentError;

/// What can be asked. What the kernel refused when it was loaded is not known, and said so
/// once, then.
#[derive(Default)]
pub(crate) struct Inspector {
    pub(super) names: Option<Question<Answer>>,
    pub(super) folios: Option<Question<Folio>>,
    pub(super) processes: Option<Question<Process>>,
    pub(super) nodes: Option<Question<Node>>,
    pub(super) amendments: Option<Question<Amendment>>,
    /// How often amendments were made.
    pub(super) amended: Cell<u64>,
    pub(super) cpus: u32,
}

/// A program, and the array in which it finds questions and leaves answers.
pub(super) struct Question<T> {
    program: ProgramFd,
    values: Shared,
    _of: std::marker::PhantomData<T>,
}

impl<T: Pod> Question<T> {
    /// `count` values of the array `name`.
    pub(super) fn new(
        program: ProgramFd,
        data: &MapData,
        name: &'static str,
        count: usize,
    ) -> Result<Self, AgentError> {
        Ok(Self {
            program,
            values: Shared::new(data, name, count * size_of::<T>())?,
            _of: std::marker::PhantomData,
        })
    }

    fn run(&self, arguments: [u64; 3]) -> io::Result<()> {
        bpf::run_once(&self.program, &arguments).map(drop)
    }

    /// Has each of the values dealt with, as many at once as the array holds.
    fn all(&self, values: &mut [T], at_once: usize) -> io::Result<()> {
        for part in values.chunks_mut(at_once) {
            for (index, value) in part.iter().enumerate() {
                self.values.write(index * size_of::<T>(), value);
            }
            self.run([part.len() as u64, 0, 0])?;
            for (index, value) in part.iter_mut().enumerate() {
                *value = self.values.copy(index * size_of::<T>());
            }
        }
        Ok(())
    }
}

impl Inspector {
    /// The file that a mapping is of, in which the folio of a key is expected to be still.
    pub(crate) fn file(&self, key: u64, mapping: u64) -> Option<Answer> {
        self.name([Query::FILE, key, mapping])
    }

    /// The memory cgroup that a `memcg_data` is of.
    pub(crate) fn memcg(&self, data: u64) -> Option<Answer> {
        self.name([Query::MEMCG, data, 0])
    }

    /// The cgroup that a process is in, in the unified hierarchy.
    pub(crate) fn cgroup_of(&self, tgid: u32, start_ns: u64) -> Option<Answer> {
        self.name([Query::CGROUP, u64::from(tgid), start_ns])
    }

    fn name(&self, question: [u64; 3]) -> Option<Answer> {
        let names = self.names.as_ref()?;
        if let Err(error) = names.run(question) {
            debug!("cannot ask what a pointer is: {error}");
            return None;
        }
        let answer = names.values.copy::<Answer>(0);
        (answer.known == 1).then_some(answer)
    }

    /// How the folios of these keys are; `None` where they cannot be looked at.
    pub(crate) fn folios(&self, keys: &[u64]) -> Option<Vec<Folio>> {
        let ask = |key: &u64| Folio {
            key: *key,
            ..Folio::zeroed()
        };
        let mut folios: Vec<Folio> = keys.iter().map(ask).collect();
        answered(self.folios.as_ref()?.all(&mut folios, FOLIOS_AT_ONCE))?;
        Some(folios)
    }

    /// How these processes are, each an id and a start; `None` where they cannot be looked
    /// at.
    pub(crate) fn processes(&self, ids: &[(u32, u64)]) -> Option<Vec<Process>> {
        let ask = |(tgid, start_ns): &(u32, u64)| Process {
            tgid: *tgid,
            start_ns: *start_ns,
            ..Process::zeroed()
        };
        let mut processes: Vec<Process> = ids.iter().map(ask).collect();
        let question = self.processes.as_ref()?;
        answered(question.all(&mut processes, PROCESSES_AT_ONCE))?;
        Some(processes)
    }

    /// Has these changes made; what became of each is in it then. Where they cannot be made,
    /// nothing was.
    pub(crate) fn amend(&self, amendments: &mut [Amendment]) {
        let Some(question) = &self.amendments else {
            return;
        };
        if !amendments.is_empty() {
            self.amended.set(self.amended.get() + 1);
        }
        let _ = answered(question.all(amendments, AMENDMENTS_AT_ONCE));
    }

    /// How often it was asked for amendments: as long as that stays, it has changed nothing.
    pub(crate) fn amended(&self) -> u64 {
        self.amended.get()
    }

    /// The kernel's own count of pins, what its CPUs have not handed in yet included; `None`
    /// where it cannot be read so.
    pub(crate) fn pins(&self) -> Option<PinCounts> {
        let question = self.nodes.as_ref()?;
        let mut counts = PinCounts::default();
        for number in online_nodes()? {
            answered(question.run([number as u64, u64::from(self.cpus), 0]))?;
            let node: Node = question.values.copy(0);
            if node.known != 1 {
                return None;
            }
            counts.acquired = counts.acquired.wrapping_add(node.acquired);
            counts.released = counts.released.wrapping_add(node.released);
        }
        Some(counts)
    }
}

fn answered(outcome: io::Result<()>) -> Option<()> {
    outcome
        .inspect_err(|error| debug!("the kernel does not answer: {error}"))
        .ok()
}
