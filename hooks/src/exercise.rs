//! What the self-test does that goes through a hook, and where nothing can: who alone calls the
//! function. In words for the operator; leaves out doing it.

use std::fmt;

/// How a hook can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// By each of these, where the kernel lets the agent and goes that way.
    By(&'static [Exercise]),
    /// By nothing: its only callers.
    OnlyCalledBy(&'static str),
}

/// Something that makes the kernel take or release references on memory of the agent's own, walk
/// it or unmap it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exercise {
    /// `vmsplice()` into a pipe.
    Splice,
    /// The same of pages that have to be brought in, which a kernel may do by another function.
    SpliceOfAbsentPages,
    /// A read with `O_DIRECT`.
    DirectRead,
    /// Registering a fixed buffer of an io_uring, and unregistering it.
    FixedBuffer,
    /// The same of a ring of buffers.
    BufferRing,
    /// Reading our own memory as another process's.
    ProcessVmReadv,
    /// Writing it.
    ProcessVmWritev,
    /// Reading it as a file.
    ProcSelfMem,
    /// Asking on which node it lies.
    GetMempolicy,
    /// Page faults sampled with their physical address.
    SampledFaults,
    /// The memory of an `AF_XDP` socket.
    XdpSocket,
    /// A dma-buf over a memfd.
    DmaBuf,
    /// Having a dirty page of a file cleaned.
    Writeback,
    /// Unmapping pages while one is cleaned.
    UnmapInWriteback,
    /// Unmapping pages.
    Unmap,
}

impl Exercise {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Splice => "a splice",
            Self::SpliceOfAbsentPages => "a splice of pages that are not there yet",
            Self::DirectRead => "a direct read",
            Self::FixedBuffer => "the fixed buffer of an io_uring",
            Self::BufferRing => "the buffer ring of an io_uring",
            Self::ProcessVmReadv => "process_vm_readv()",
            Self::ProcessVmWritev => "process_vm_writev()",
            Self::ProcSelfMem => "reading /proc/self/mem",
            Self::GetMempolicy => "get_mempolicy()",
            Self::SampledFaults => "page faults that a perf event samples",
            Self::XdpSocket => "the memory of an AF_XDP socket",
            Self::DmaBuf => "a dma-buf of /dev/udmabuf",
            Self::Writeback => "a page of a file written back",
            Self::UnmapInWriteback => "an unmap during a writeback",
            Self::Unmap => "an unmap",
        }
    }
}

impl Test {
    /// Whether this exercise goes through the hook.
    #[must_use]
    pub fn includes(self, exercise: Exercise) -> bool {
        match self {
            Self::By(exercises) => exercises.contains(&exercise),
            Self::OnlyCalledBy(_) => false,
        }
    }

    /// Why a hook is untested, if nothing else is known of it.
    #[must_use]
    pub fn excuse(self) -> String {
        match self {
            Self::By(exercises) => format!(
                "nothing went through it; this kernel has another way for {}",
                listed(exercises)
            ),
            Self::OnlyCalledBy(callers) => {
                format!("it cannot be gone through: it is called by {callers} only")
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(exercises) => write!(f, "would be tested by {}", listed(exercises)),
            Self::OnlyCalledBy(callers) => write!(f, "not tested: it is called by {callers} only"),
        }
    }
}

fn listed(exercises: &[Exercise]) -> String {
    let words: Vec<_> = exercises.iter().map(|it| it.words()).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exercises_are_listed_as_a_sentence_would() {
        let one = Test::By(&[Exercise::Unmap]);
        assert_eq!(one.to_string(), "would be tested by an unmap");
        let three = Test::By(&[Exercise::Splice, Exercise::DirectRead, Exercise::Unmap]);
        let words = "would be tested by a splice, a direct read and an unmap";
        assert_eq!(three.to_string(), words);
    }
}
