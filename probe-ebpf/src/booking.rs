//! From pages to the book: a set of pages is walked folio by folio, and each run of
//! references on one folio is entered, or taken out.

pub(crate) mod pages;
pub(crate) mod run;
pub(crate) mod small;
