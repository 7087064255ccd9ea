//! The two ways in which the probes work on the ledger.

/// The ledger, where what is rare is in line.
#[derive(Clone, Copy)]
pub(crate) struct Ledger<const RARE_IN_LINE: bool>;

/// On the short way, where all is in one program.
pub(crate) type Short = Ledger<true>;

/// On the long way, where functions of their own cost less than what the verifier would
/// look at again and again.
pub(crate) type Long = Ledger<false>;
