//! Debian's packages, read and unpacked beside the system: nothing here installs anything.
//! Leaves out which packages are wanted and why.

pub(crate) mod apt;
pub(crate) mod control;
pub(crate) mod mirror;
pub(crate) mod version;
