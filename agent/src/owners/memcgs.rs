//! Which memory cgroup a folio is charged to: asked of the kernel, by the word that the folio
//! has for it.

use std::collections::HashMap;

use super::names::{self, CgroupName};
use crate::kernel::inspect::Inspector;

/// Words that are asked for in a second at most.
const AT_ONCE: usize = 256;

/// What words are, as long as something charged so is pinned: a cgroup goes when nothing is
/// charged to it any more, and the pointer is used again.
#[derive(Debug, Default)]
pub(crate) struct Memcgs(HashMap<u64, CgroupName>);

impl Memcgs {
    /// The cgroup of a word; `None` where the kernel does not tell, or nothing is charged.
    pub(crate) fn of(&self, word: u64) -> Option<&CgroupName> {
        self.0.get(&word)
    }

    /// Asks for these, and forgets all others. Whether anything is known now that was not.
    pub(crate) fn refresh(
        &mut self,
        wanted: impl IntoIterator<Item = u64>,
        inspector: &Inspector,
    ) -> bool {
        let mut before = std::mem::take(&mut self.0);
        let (mut asked, mut is_changed) = (0, false);
        for word in wanted {
            if word == 0 || self.0.contains_key(&word) {
                continue;
            }
            let known = before.remove(&word).or_else(|| {
                asked += 1;
                let may_ask = asked <= AT_ONCE;
                let answer = may_ask.then(|| inspector.memcg(word)).flatten()?;
                is_changed = true;
                Some(names::cgroup(&answer))
            });
            if let Some(known) = known {
                self.0.insert(word, known);
            }
        }
        is_changed
    }
}
