//! What the agent asks of the kernel side, by running a program that is attached to
//! nothing, and what that answers. Asked now and then, so nothing of it is on the path
//! of a pin.
//!
//! Questions and answers lie in mappable arrays; a run of a program is told how many
//! there are, or which one it is.

/// Path components that are followed, from the file to the root; a power of two.
pub const PATH_DEPTH: usize = 32;

/// Bytes of a name that are kept, its final zero included.
pub const NAME_BYTES: usize = 128;

/// What is asked of the program `resolve`; its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query;

impl Query {
    /// Which file is `mapping` (third argument) of, in which the folio of a
    /// ledger key (second argument) is expected to be still.
    pub const FILE: u64 = 1;
    /// Which cgroup is `memcg_data` (second argument) of.
    pub const MEMCG: u64 = 2;
    /// In which cgroup is the process of an id (second argument), which began then (third
    /// argument): of the unified hierarchy; where that has it in its root, of the one of version 1
    /// that has the controller of memory, or of process ids.
    pub const CGROUP: u64 = 3;
}

/// The one value of the mappable array `ANSWER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Answer {
    /// 1 if the rest holds.
    pub known: u64,
    /// `inode.i_ino`.
    pub inode: u64,
    /// `super_block.s_dev`, the kernel's encoding.
    pub device: u32,
    /// Components of the path; of a cgroup too.
    pub depth: u32,
    /// Id of the cgroup, in its hierarchy.
    pub cgroup: u64,
    /// Which hierarchy that is: 0 the unified one, all ones where that is not known.
    pub hierarchy: u64,
    /// Of a process, the id of its cgroup of the unified hierarchy.
    pub unified: u64,
    /// `file_system_type.name`.
    pub file_system: [u8; 16],
    /// `super_block.s_id`: mostly the block device's name.
    pub volume: [u8; 32],
    /// Names from the file towards the root of its file system, or from the cgroup towards
    /// the root of its hierarchy, which has none.
    pub names: [[u8; NAME_BYTES]; PATH_DEPTH],
}

const _: () = assert!(size_of::<Answer>() == 96 + NAME_BYTES * PATH_DEPTH);

/// Folios that one run of `inspect` looks at, at most.
pub const FOLIOS_AT_ONCE: usize = 256;

/// A folio as the kernel has it now; an entry of the array `FOLIOS`.
///
/// The agent writes the key and [`Folio::ASKED`], the program all the rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Folio {
    /// Key in the ledger.
    pub key: u64,
    /// `page.flags` of the head page.
    pub flags: u64,
    /// `folio->mapping`, tag bits included.
    pub mapping: u64,
    /// `_refcount`.
    pub refcount: u32,
    /// Mapcount of the folio; all ones where this kernel keeps none that one read gives.
    pub mapcount: u32,
    /// Pin count of a folio that has one.
    pub pincount: u32,
    /// Pages of it.
    pub pages: u32,
    /// [`Folio::ASKED`] and so on.
    pub state: u32,
    /// Zero.
    pub reserved: u32,
}

impl Folio {
    /// The question is not answered yet.
    pub const ASKED: u32 = 0;
    /// It could not be read.
    pub const UNREADABLE: u32 = 1;
    /// The page of this key is a tail now: whatever was pinned under this key is gone.
    pub const TAIL: u32 = 2;
    /// A small folio, or one of two pages before Linux 5.18: pins are in the reference count.
    pub const SMALL: u32 = 3;
    /// One with a pin count of its own.
    pub const LARGE: u32 = 4;
}

const _: () = assert!(size_of::<Folio>() == 48);

/// Processes that one run of `look_up` looks for, at most.
pub const PROCESSES_AT_ONCE: usize = 64;

/// A process as the kernel has it now; an entry of the array `PROCESSES`.
///
/// The agent writes process id and start, the program all the rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Process {
    /// `start_boottime` of its first thread, nanoseconds; asked with 0, whichever has the id now,
    /// and the program writes it.
    pub start_ns: u64,
    /// Process id, as the initial namespace counts.
    pub tgid: u32,
    /// [`Process::UNKNOWN`] and so on.
    pub state: u32,
    /// Name of its first thread.
    pub comm: [u8; 16],
    /// `mm_struct.pinned_vm`, pages: what drivers that count their pins say it has pinned.
    pub pinned_vm: u64,
    /// `mm_struct.locked_vm`, pages.
    pub locked_vm: u64,
    /// `RLIMIT_MEMLOCK`, bytes; all ones for none.
    pub memlock: u64,
    /// Process id in the namespace that the agent is in; 0 where it has none there.
    pub pid_here: u32,
    /// How deep its user namespace is below the initial one.
    pub user_level: u32,
    /// `user_struct.locked_vm`, pages: what its user is charged for by all its processes, as by
    /// rings; all ones where that is not known.
    pub user_locked_vm: u64,
    /// Who made its user namespace, as the initial one counts.
    pub user_ns_owner: u32,
    /// Its (real) user, as the initial one counts.
    pub uid: u32,
    /// Address of its `mm_struct`; 0 once its first thread has ended.
    pub mm: u64,
}

impl Process {
    /// This kernel does not show it.
    pub const UNKNOWN: u32 = 0;
    /// A thread of it runs.
    pub const LIVES: u32 = 1;
    /// All of its threads have ended, or are about to: it was told to.
    pub const EXITING: u32 = 2;
    /// There is none of this id and start.
    pub const ENDED: u32 = 3;
}

const _: () = assert!(size_of::<Process>() == 88);

/// Changes that one run of `amend` makes, at most.
pub const AMENDMENTS_AT_ONCE: usize = 256;

/// A change to the ledger that the agent wants; an entry of the array `AMENDMENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Amendment {
    /// [`Amendment::WRITE_OFF`] and so on.
    pub kind: u32,
    /// The slot: its bucket, and which of the bucket's it is.
    pub bucket: u32,
    /// As said.
    pub slot: u32,
    /// The owner that the slot is expected to have.
    pub owner: u32,
    /// Key and kind of the slot's word, or the whole word ([`Amendment::FORGET`]).
    pub word: u64,
    /// How many references.
    pub n: u64,
    /// Of an entry that is made: `folio->mapping`.
    pub mapping: u64,
    /// Of an entry that is made: the memory cgroup's word.
    pub memcg: u64,
    /// Of an entry that is made: the folio's order.
    pub order: u32,
    /// Zero.
    pub reserved: u32,
    /// What became of it: how many references were changed, or 1 for done.
    pub done: u64,
}

impl Amendment {
    /// Take `n` references off the slot that the kernel does not hold.
    pub const WRITE_OFF: u32 = 1;
    /// Empty the slot if its word still is this one; one more than it counted.
    pub const FORGET: u32 = 2;
    /// Enter `n` pins of the folio that the kernel holds, of a known owner or of nobody.
    pub const ENTER: u32 = 3;
    /// Doubt the hint on the place.
    pub const DOUBT_HINT: u32 = 4;
    /// Take the hint off the place, if it is doubted still.
    pub const CLEAR_HINT: u32 = 5;
    /// Mark the slot's owner as a guess; 1 if it has references.
    pub const MARK_GUESS: u32 = 6;
}

const _: () = assert!(size_of::<Amendment>() == 64);

/// The kernel's own count of pins on one node, what its CPUs have not handed in yet
/// included; the one value of the array `NODE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Node {
    /// `nr_foll_pin_acquired`.
    pub acquired: u64,
    /// `nr_foll_pin_released`.
    pub released: u64,
    /// 1 if these are known.
    pub known: u64,
    /// Address of what its CPUs have not handed in yet, before a CPU's offset.
    pub pending_at: u64,
}

const _: () = assert!(size_of::<Node>() == 32);

/// Slow calls that are known at once; a power of two.
pub const CALLS: usize = 4096;

/// A call that pins and may sleep, under way; an entry of the array `CALLS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Call {
    /// Thread id, and above it the process's; 0 where there is none. Written last.
    pub thread: u64,
    /// `bpf_ktime_get_boot_ns` when it began.
    pub since_ns: u64,
    /// Pages that it was asked for.
    pub pages: u64,
    /// `start_boottime` of its process's first thread, nanoseconds.
    pub start_ns: u64,
}

const _: () = assert!(size_of::<Call>() == 32);
