//! Loading programs, several at once: the verifier takes its time over each, and
//! looks at as many as there are CPUs to do it.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use hooks::{Candidate, Entries, Method, is_fallback, program_names};

use super::object::Wanted;

/// More threads than this gain little, and the service may not have many.
const THREADS: usize = 8;

/// Gives out programs for functions, loaded.
pub(super) struct Loader<'a> {
    ebpf: &'a mut Ebpf,
    btf: &'a Btf,
    /// For which function each is that was loaded ahead.
    ahead: HashMap<String, &'static str>,
    pub(super) entries: Entries,
}

impl<'a> Loader<'a> {
    /// `entries` as they are planned.
    pub(super) fn new(ebpf: &'a mut Ebpf, wanted: &Wanted<'a>, entries: Entries) -> Self {
        let ahead = load_ahead(ebpf, wanted, entries);
        Self {
            ebpf,
            btf: wanted.btf,
            ahead,
            entries,
        }
    }

    pub(super) fn programs_for(&self, candidate: &Candidate, method: Method) -> Vec<String> {
        programs_for(self.ebpf, candidate, method, self.entries)
    }

    pub(super) fn program(
        &mut self,
        name: &str,
        symbol: &str,
    ) -> Result<&mut Program, ProgramError> {
        let program = self
            .ebpf
            .program_mut(name)
            .ok_or_else(|| ProgramError::InvalidName {
                name: name.to_owned(),
            })?;
        if self.ahead.get(name) != Some(&symbol) {
            load(program, symbol, self.btf)?;
        }
        Ok(program)
    }
}

/// The programs of a candidate. The baseline object has no fallbacks: the kernels
/// that it is for skip nothing of fentry (before Linux 5.12). So a kprobe with one behind it is
/// refused there, and fentry is next.
pub(super) fn programs_for(
    ebpf: &Ebpf,
    candidate: &Candidate,
    method: Method,
    entries: Entries,
) -> Vec<String> {
    let mut names = program_names(candidate, method, entries);
    if method == Method::Fentry {
        names.retain(|it| !is_fallback(it) || ebpf.program(it).is_some());
    }
    names
}

/// Loads the programs that are attached unless the kernel refuses one, together; for
/// which function each is.
fn load_ahead(
    ebpf: &mut Ebpf,
    all: &Wanted<'_>,
    entries: Entries,
) -> HashMap<String, &'static str> {
    let mut wanted = HashMap::new();
    for step in all.steps {
        if let Some((candidate, methods)) = step.usable.first()
            && let Some(method) = methods.first()
        {
            for name in programs_for(ebpf, candidate, *method, entries) {
                wanted.entry(name).or_insert(candidate.symbol);
            }
        }
    }
    let loaded = load_together(ebpf, all, &wanted);
    // One that was refused is tried again in its turn, and the reason logged.
    let refused: Vec<_> = loaded
        .into_iter()
        .filter(|(_, (_, loading))| loading.result.is_err())
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in refused {
        wanted.remove(&name);
    }
    wanted
}

/// What became of one program.
pub(super) struct Loading {
    pub(super) result: Result<(), ProgramError>,
    pub(super) took: Duration,
}

/// Loads each of the programs for the function that it is named with, or fewer if nobody wants them
/// any more; by name.
pub(super) fn load_together<'a>(
    ebpf: &'a mut Ebpf,
    all: &Wanted<'_>,
    wanted: &HashMap<String, &'static str>,
) -> HashMap<&'a str, (&'a mut Program, Loading)> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let programs: Vec<_> = ebpf
        .programs_mut()
        .filter_map(|(name, program)| Some((name, program, *wanted.get(name)?)))
        .collect();
    let queue = Mutex::new(programs.into_iter());
    let next = || queue.lock().ok()?.next();
    thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while all.check().is_ok()
                && let Some((name, program, symbol)) = next()
            {
                let start = Instant::now();
                let result = load(program, symbol, all.btf);
                let took = start.elapsed();
                done.push((name, (program, Loading { result, took })));
            }
            done
        };
        let workers: Vec<_> = (0..threads.min(THREADS))
            .map(|_| scope.spawn(work))
            .collect();
        // A worker does not panic; what one had would be as if not loaded.
        let done = workers.into_iter().filter_map(|it| it.join().ok());
        done.flatten().collect()
    })
}

/// Loads a program for a function.
fn load(program: &mut Program, symbol: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(it) => it.load(symbol, btf),
        Program::FExit(it) => it.load(symbol, btf),
        // One that serves two functions is the same for both.
        Program::KProbe(it) if it.fd().is_ok() => Ok(()),
        Program::KProbe(it) => it.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
