//! The census: what is pinned on the machine now, whoever pinned it and whenever, by a walk over
//! every `struct page`.
//!
//! Leaves out how the kernel side walks, and how a report looks.

mod folder;
mod found;
mod likely;
mod mappers;
mod pagemap;
mod places;
mod preexisting;
mod report;
mod rows;
mod take;
mod walk;
mod zones;

pub(crate) use places::Places;
pub(crate) use preexisting::{PinnedFolio, Preexisting, preexisting};
pub(crate) use report::{By, Report, Row, Sum};
pub(crate) use take::{Wanted, take};
