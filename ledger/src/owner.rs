//! Who owns references, who releases them, and how the two go together.

/// Who owns references: what an owner's record says of it. All zeros for nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Process id of the process that acquired them.
    pub tgid: u64,
    /// Its `mm_struct`.
    pub mm: u64,
    /// The kernel object to which they belong (an `io_ring_ctx`); 0 for none.
    pub object: u64,
    /// The `mm_struct` that the object was made for: a child's owner has the parent's there, where
    /// it inherited the object.
    pub object_mm: u64,
    /// The same for owners that only the object tells apart.
    pub kin: u64,
}

impl Identity {
    /// The address space on whose behalf the references are held.
    #[inline(always)]
    const fn home(&self) -> u64 {
        if self.object == 0 {
            self.mm
        } else {
            self.object_mm
        }
    }
}

/// Who releases references, as far as that is known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Releaser {
    /// Process id; 0 in an interrupt, which serves anybody, in a kernel thread, and where
    /// the object is known.
    pub tgid: u64,
    /// `mm_struct` of the process, or the one on whose behalf a kernel thread works, or the
    /// one that the object was made for; 0 where that is not known.
    pub mm: u64,
    /// The kernel object to which they belong; 0 where that is not known.
    pub object: u64,
    /// Fits (a bit each) whose owners may be meant although another one fits better: none,
    /// [`Fit::OF_OTHERS`], or [`Fit::OF_OBJECTS`] as well.
    pub doubt: u64,
}

/// How near the owner of a slot is to a newcomer, farthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Kinship {
    /// Another process, or another address space.
    Stranger = 0,
    /// The same process: the owner has an object, and the newcomer none.
    Object = 1,
    /// The same process: the newcomer has an object, and the owner none.
    Plain = 2,
    /// The same process, and both have an object, or none.
    SameKind = 3,
    /// The same process and the same way to pin: at most the objects differ, which no reader
    /// sees.
    Kin = 4,
}

impl Kinship {
    /// Nobody is near to nobody.
    #[must_use]
    #[inline(always)]
    pub const fn of(owner: &Identity, newcomer: &Identity) -> Self {
        let same_process = owner.tgid != 0 && owner.tgid == newcomer.tgid;
        if !same_process || owner.home() != newcomer.home() {
            Self::Stranger
        } else if owner.object != 0 && newcomer.object == 0 {
            Self::Object
        } else if owner.object == 0 && newcomer.object != 0 {
            Self::Plain
        } else if owner.kin == newcomer.kin {
            Self::Kin
        } else {
            Self::SameKind
        }
    }
}

/// How well an owner fits a [`Releaser`], worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Fit {
    /// Another's, and of an object: whoever releases for nobody in particular (a
    /// completed bio) does not release those.
    ObjectOfAnother = 0,
    /// Another's.
    Another = 1,
    /// Nobody is known to have it, and the releaser has none of its own.
    Nobodys = 2,
    /// The same address space.
    SameMm = 3,
    /// The same process, or the one that the released object was made for, and of an object.
    ObjectOfProcess = 4,
    /// The same process.
    SameProcess = 5,
    /// The same object. The address alone does not tell: it is used again, and what a process
    /// has of its further objects may stand in the name of one that is gone.
    SameObject = 6,
}

impl Fit {
    /// Of other processes' owners that have no object, for [`Releaser::doubt`]: who pins a folio may
    /// release another one's pin of it, as a server that answers a read, or who closes a file last.
    pub const OF_OTHERS: u64 =
        1 << Self::Another as u64 | 1 << Self::Nobodys as u64 | 1 << Self::SameMm as u64;

    /// Of owners that may have an object, for [`Releaser::doubt`].
    pub const OF_OBJECTS: u64 = 1 << Self::ObjectOfAnother as u64
        | 1 << Self::Nobodys as u64
        | 1 << Self::SameMm as u64
        | 1 << Self::ObjectOfProcess as u64;

    /// How well an owner with this identity fits. `owner` 0 is nobody.
    #[must_use]
    #[inline(always)]
    pub const fn of(owner: u32, identity: &Identity, releaser: &Releaser) -> Self {
        let is_known = releaser.tgid | releaser.mm | releaser.object != 0;
        let is_object = identity.object != 0 && identity.object == releaser.object;
        if is_object && identity.object_mm == releaser.mm {
            Self::SameObject
        } else if releaser.tgid != 0 && identity.tgid == releaser.tgid {
            if identity.object == 0 {
                Self::SameProcess
            } else {
                Self::ObjectOfProcess
            }
        } else if releaser.mm != 0 && identity.home() == releaser.mm {
            // Who made an object is likelier to have pinned with it than who inherited it.
            if identity.object != 0 && releaser.object != 0 && identity.mm == releaser.mm {
                Self::ObjectOfProcess
            } else {
                Self::SameMm
            }
        } else if owner == 0 && is_known {
            Self::Nobodys
        } else if identity.object == 0 {
            Self::Another
        } else {
            Self::ObjectOfAnother
        }
    }
}
