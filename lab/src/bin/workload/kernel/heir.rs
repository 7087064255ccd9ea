//! A child that inherits every descriptor and does nothing with them: what its parent left pinned
//! stays pinned for as long as it lives.

use std::io::Read;

use anyhow::Result;

use super::fork::{fork, leave};

/// Leaves a child behind that lives until standard input ends, and then does what is left to do.
/// The caller must be the only thread of its process, and should end next: until then both read
/// the same standard input.
pub(crate) fn leave_behind(at_last: impl FnOnce()) -> Result<()> {
    if fork()?.is_none() {
        let mut rest = Vec::new();
        let _ends_either_way = std::io::stdin().read_to_end(&mut rest);
        at_last();
        leave();
    }
    Ok(())
}
