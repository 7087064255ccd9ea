//! The course of trials: which calls are made, on what memory, and which hooks are to
//! see them. Leaves out how one is judged.

use std::io;

use hooks::{Exercise, MAPCOUNT_DECREMENT};

use super::{
    deadline::OUT_OF_TIME,
    devices,
    evidence::Taken,
    faults,
    memory::{
        self, PAGES, anonymous_memory, anonymous_pages, ask_for_nodes, read_across,
        read_by_address, read_directly, splice, touch, write_across,
    },
    outcome::Observation,
    trial::Trial,
    trials::{ONLY_ROOT, Trials},
    uring::Pinning,
};

impl Trials<'_> {
    /// Whatever any process may do.
    pub(super) fn run(&mut self) {
        self.on_file_pages();
        if let Err(error) = self.on_anonymous_pages() {
            self.no_memory(Exercise::FixedBuffer, &error);
        }
    }

    /// What some processes may do, and is no input of most verdicts.
    pub(super) fn run_rarer(&mut self) {
        if let Err(error) = self.on_a_dma_buf() {
            self.no_memory(Exercise::DmaBuf, &error);
        }
        if let Err(error) = self.on_memory_that_is_not_there() {
            self.no_memory(Exercise::SpliceOfAbsentPages, &error);
        }
        if let Err(error) = self.on_other_memory() {
            self.no_memory(Exercise::XdpSocket, &error);
        }
    }

    fn no_memory(&mut self, exercise: Exercise, error: &io::Error) {
        let why = format!("no memory to pin: {error}");
        self.untested_trial(&Trial::sure(exercise), &why);
    }

    fn on_file_pages(&mut self) {
        let Some(mut pages) = self.file.take() else {
            return;
        };
        let sure = Trial::sure;
        self.transient(&sure(Exercise::ProcessVmReadv), || read_across(&pages));
        let writing = sure(Exercise::ProcessVmWritev);
        let taken = self.transient(&writing, || write_across(&mut pages));
        self.write = only_flags(&taken);
        self.transient(&sure(Exercise::ProcSelfMem), || read_by_address(&pages));
        self.transient(&sure(Exercise::GetMempolicy), || ask_for_nodes(&pages));
        let faults = sure(Exercise::SampledFaults);
        self.transient(&faults, || faults::sampled(&mut pages));
        self.file = Some(pages);
        self.directly();
    }

    fn on_anonymous_pages(&mut self) -> io::Result<()> {
        let mut pages = anonymous_pages()?;
        self.with_other_memory();
        let buffer = || Pinning::a_buffer(&mut pages);
        let trial = Trial::sure(Exercise::FixedBuffer);
        let taken = self.held(&trial, buffer, Pinning::end);
        self.long = only_flags(&taken);
        self.transient(&Trial::sure(Exercise::Splice), || splice(&pages));
        Ok(())
    }

    /// A direct read, of the file on disk or else of the program's own.
    fn directly(&mut self) {
        let trial = Trial::unsure(Exercise::DirectRead);
        let file = match &self.disk {
            Ok(disk) => disk.direct.as_ref().and_then(|it| it.try_clone().ok()),
            Err(_) => None,
        };
        let Some(file) = file.or_else(memory::program) else {
            let why =
                "no file on a disk to be read directly (TMPDIR, /var/tmp, the program itself)";
            return self.untested_trial(&trial, why);
        };
        // Whoever reads has the pages, and keeps them if the disk does not answer.
        let mut lent = self.file.take();
        let deadline = self.deadline;
        let taken = self.transient(&trial, || {
            let mut pages = lent.take().ok_or_else(|| io::Error::other(OUT_OF_TIME))?;
            let file = file.try_clone()?;
            let (pages, done) = deadline.act(move || {
                let done = read_directly(&file, &mut pages);
                Ok((pages, done))
            })?;
            lent = Some(pages);
            done
        });
        self.file = lent;
        // What is read into memory writes to it.
        self.write = self.write.or_else(|| only_flags(&taken));
    }

    /// Pins by folio, of file pages.
    fn on_a_dma_buf(&mut self) -> io::Result<()> {
        let memory = devices::sealed_memory()?;
        self.with_other_memory();
        let closed = |buffer| {
            drop(buffer);
            Ok(())
        };
        let trial = Trial::sure(Exercise::DmaBuf);
        self.held(&trial, || devices::dma_buf(&memory), closed);
        Ok(())
    }

    /// Some kernels bring in what the fast way does not find by a function that is a
    /// hook's, too: its call is nested, and not to be counted again.
    fn on_memory_that_is_not_there(&mut self) -> io::Result<()> {
        let nested = Trial::sure(Exercise::SpliceOfAbsentPages).takes;
        if !self.sees(Exercise::SpliceOfAbsentPages) || !self.sees(Exercise::Splice) {
            return Ok(());
        }
        let Some(before) = self.runs() else {
            self.untested(&nested, ONLY_ROOT.to_owned());
            return Ok(());
        };
        let pages = anonymous_memory()?;
        let taken = self.transient(&Trial::sure(Exercise::Splice), || splice(&pages));
        let ran = self.ran_since(Some(&before), &nested);
        if let Some(ran) = ran.filter(|it| !it.is_empty()) {
            let all = PAGES as u64;
            let seen = match taken.values().sum::<u64>() {
                pages if pages == all => Ok(ran.clone()),
                pages => Err(format!(
                    "{all} pages were taken in a nested call, {pages} were counted"
                )),
            };
            self.observations.push(Observation { about: ran, seen });
        }
        Ok(())
    }

    /// Calls for which there is another hook on some kernels, where that one was not
    /// come to.
    fn on_other_memory(&mut self) -> io::Result<()> {
        let mut pages = anonymous_pages()?;
        self.with_other_memory();
        if self.is_due(Exercise::XdpSocket) {
            let closed = |socket| {
                drop(socket);
                Ok(())
            };
            let trial = Trial::sure(Exercise::XdpSocket);
            self.held(&trial, || devices::xdp_socket(&mut pages), closed);
        }
        if self.is_due(Exercise::BufferRing) {
            let ring = || Pinning::a_buffer_ring(&mut pages);
            let trial = Trial::sure(Exercise::BufferRing);
            self.held(&trial, ring, Pinning::end);
        }
        Ok(())
    }

    /// Takes the file's pages away. Where the kernel says how often programs ran.
    pub(super) fn unmap(&mut self) {
        const HOOK: &str = MAPCOUNT_DECREMENT;
        let Some(mut pages) = self.file.take() else {
            return;
        };
        touch(&mut pages);
        let before = self.runs();
        drop(pages);
        if !self.is_attached(HOOK) {
            return;
        }
        let seen = match self.ran_since(before.as_ref(), &[HOOK]) {
            None => return self.untested(&[HOOK], ONLY_ROOT.to_owned()),
            Some(ran) if ran.is_empty() => Err(format!("{PAGES} pages were unmapped, it saw none")),
            Some(ran) => Ok(ran),
        };
        self.observations.push(Observation {
            about: vec![HOOK],
            seen,
        });
    }
}

fn only_flags(taken: &Taken) -> Option<u32> {
    let mut flags = taken.keys().map(|(_, flags)| *flags);
    let first = flags.next()?;
    flags.next().is_none().then_some(first)
}
