//! The rules, one file each; rules that differ in one comparison share a file.

pub(crate) mod ledger;
pub(crate) mod ordered;
pub(crate) mod references;
pub(crate) mod simple;
pub(crate) mod two_walk;
