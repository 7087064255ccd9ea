//! Questions that the agent has the kernel side answer: what a pointer in a
//! ledger's note stands for. Asked now and then, so nothing of it is on the path
//! of a pin.

/// Path components that are followed, from the file to the root; a power of two.
pub const PATH_DEPTH: usize = 32;

/// Bytes of a name that are kept, its final zero included.
pub const NAME_BYTES: usize = 128;

/// What is asked; the first argument of the program `resolve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query;

impl Query {
    /// Which file is `mapping` (third argument) of, in which the folio of a
    /// ledger key (second argument) is expected to be still.
    pub const FILE: u64 = 1;
    /// Which cgroup is `memcg_data` (second argument) of.
    pub const MEMCG: u64 = 2;
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
    /// Components of the path.
    pub depth: u32,
    /// Id of the cgroup.
    pub cgroup: u64,
    /// `file_system_type.name`.
    pub file_system: [u8; 16],
    /// `super_block.s_id`: mostly the block device's name.
    pub volume: [u8; 32],
    /// Names from the file towards the root of its file system.
    pub names: [[u8; NAME_BYTES]; PATH_DEPTH],
}

const _: () = assert!(size_of::<Answer>() == 80 + NAME_BYTES * PATH_DEPTH);
