//! The course of trials: which calls are made, on what memory, and which hooks are to
//! see them. Leaves out how one is judged.

use std::io;

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
    trials::{ONLY_ROOT, Trial, Trials},
    uring::Pinning,
};

const REMOTE: &str = "pin_user_pages_remote";
const LOCKED: &str = "get_user_pages_locked";
const UNLOCKED: &str = "get_user_pages_unlocked";
const BY_PAGE_OR_FOLIO: &[&str] = &["unpin_user_page", "unpin_user_folio"];

/// A call that succeeds has taken what it was asked to; nothing is given back where
/// a hook sees it.
const SURE: Trial<'_> = Trial {
    takes: &[],
    gives_pins: &[],
    gives_references: &[],
    is_sure: true,
};

impl Trials<'_> {
    /// Whatever any process may do.
    pub(super) fn run(&mut self) {
        self.on_file_pages();
        if let Err(error) = self.on_anonymous_pages() {
            self.untested(&["pin_user_pages"], format!("no memory to pin: {error}"));
        }
    }

    /// What some processes may do, and is no input of most verdicts.
    pub(super) fn run_rarer(&mut self) {
        if let Err(error) = self.on_a_dma_buf() {
            let hooks = ["memfd_pin_folios", "unpin_folio"];
            self.untested(&hooks, format!("no memory to pin: {error}"));
        }
        if let Err(error) = self.on_memory_that_is_not_there() {
            self.untested(&[UNLOCKED], format!("no memory to pin: {error}"));
        }
        if let Err(error) = self.on_other_memory() {
            self.untested(&["pin_user_pages"], format!("no memory to pin: {error}"));
        }
    }

    fn on_file_pages(&mut self) {
        let Some(mut pages) = self.file.take() else {
            return;
        };
        let mut trial = Trial {
            takes: &[REMOTE],
            gives_pins: &["unpin_user_pages"],
            ..SURE
        };
        self.transient(&trial, || read_across(&pages));
        trial.gives_pins = &["unpin_user_pages_dirty_lock"];
        let taken = self.transient(&trial, || write_across(&mut pages));
        self.write = only_flags(&taken);
        trial.takes = &["get_user_pages_remote"];
        self.transient(&trial, || read_by_address(&pages));
        if self.serves(LOCKED) {
            trial.takes = &[LOCKED];
            self.transient(&trial, || ask_for_nodes(&pages));
        }
        trial.takes = &["get_user_pages_fast_only"];
        self.transient(&trial, || faults::sampled(&mut pages));
        self.file = Some(pages);
        self.directly();
    }

    fn on_anonymous_pages(&mut self) -> io::Result<()> {
        let mut pages = anonymous_pages()?;
        self.with_other_memory();
        let mut trial = Trial {
            takes: &["pin_user_pages", "pin_user_pages_fast"],
            gives_pins: BY_PAGE_OR_FOLIO,
            ..SURE
        };
        let buffer = || Pinning::a_buffer(&mut pages);
        let taken = self.held(&trial, buffer, Pinning::end);
        self.long = only_flags(&taken);
        trial.takes = &["get_user_pages_fast"];
        trial.gives_pins = &[];
        self.transient(&trial, || splice(&pages));
        Ok(())
    }

    /// A direct read, of the file on disk or else of the program's own.
    fn directly(&mut self) {
        let trial = Trial {
            takes: &["pin_user_pages_fast", "get_user_pages_fast"],
            gives_pins: BY_PAGE_OR_FOLIO,
            gives_references: &["bio_release"],
            is_sure: false,
        };
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
        let trial = Trial {
            takes: &["memfd_pin_folios"],
            gives_pins: &["unpin_folio"],
            ..SURE
        };
        let memory = devices::sealed_memory()?;
        self.with_other_memory();
        let closed = |buffer| {
            drop(buffer);
            Ok(())
        };
        self.held(&trial, || devices::dma_buf(&memory), closed);
        Ok(())
    }

    /// Some kernels bring in what the fast way does not find by a function that is a
    /// hook's, too: its call is inside another one, and not to be counted again.
    fn on_memory_that_is_not_there(&mut self) -> io::Result<()> {
        if !self.serves(UNLOCKED) || !self.serves("get_user_pages_fast") {
            return Ok(());
        }
        let Some(before) = self.runs() else {
            self.untested(&[UNLOCKED], ONLY_ROOT.to_owned());
            return Ok(());
        };
        let pages = anonymous_memory()?;
        let taken = self.transient(
            &Trial {
                takes: &["get_user_pages_fast"],
                ..SURE
            },
            || splice(&pages),
        );
        let ran = self.ran_since(Some(&before), &[UNLOCKED]);
        if ran.is_some_and(|it| !it.is_empty()) {
            let all = PAGES as u64;
            let seen = match taken.values().sum::<u64>() {
                pages if pages == all => Ok(vec![UNLOCKED]),
                pages => Err(format!(
                    "{all} pages were taken inside another call, {pages} were counted"
                )),
            };
            self.observations.push(Observation {
                about: vec![UNLOCKED],
                seen,
            });
        }
        Ok(())
    }

    /// Calls for which there is another hook on some kernels, where that one was not
    /// come to.
    fn on_other_memory(&mut self) -> io::Result<()> {
        let mut pages = anonymous_pages()?;
        self.with_other_memory();
        let mut trial = Trial {
            takes: &["pin_user_pages"],
            gives_pins: &["unpin_user_pages_dirty_lock"],
            ..SURE
        };
        if self.serves("pin_user_pages") && !self.has_passed("pin_user_pages") {
            let closed = |socket| {
                drop(socket);
                Ok(())
            };
            self.held(&trial, || devices::xdp_socket(&mut pages), closed);
        }
        if self.serves("unpin_user_page") && !self.has_passed("unpin_user_page") {
            trial.takes = &["pin_user_pages_fast", "pin_user_pages"];
            trial.gives_pins = &["unpin_user_page", "unpin_user_pages"];
            let ring = || Pinning::a_buffer_ring(&mut pages);
            self.held(&trial, ring, Pinning::end);
        }
        Ok(())
    }

    /// Takes the file's pages away. Where the kernel says how often programs ran.
    pub(super) fn unmap(&mut self) {
        const HOOK: &str = "mapcount_decrement";
        let Some(mut pages) = self.file.take() else {
            return;
        };
        touch(&mut pages);
        let before = self.runs();
        drop(pages);
        if !self.serves(HOOK) {
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
