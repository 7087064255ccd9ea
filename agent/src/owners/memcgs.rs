//! Which memory cgroup a folio is charged to: asked of the kernel, by the word that the folio
//! has for it.

use std::collections::{HashMap, HashSet};

use super::names::{self, CgroupName};
use crate::kernel::inspect::Inspector;

/// Words that are asked for in a second at most.
const AT_ONCE: usize = 256;

/// What words are, as long as something charged so is pinned: a cgroup goes when nothing is
/// charged to it any more, and the pointer is used again.
#[derive(Debug, Default)]
pub(crate) struct Memcgs {
    names: HashMap<u64, CgroupName>,
    /// What was asked for, and the kernel did not tell.
    missing: HashSet<u64>,
}

impl Memcgs {
    /// The cgroup of a word; `None` where the kernel does not tell, or nothing is charged.
    pub(crate) fn of(&self, word: u64) -> Option<&CgroupName> {
        self.names.get(&word)
    }

    /// Asks for these, and forgets all others. Whether anything is known now that was not.
    pub(crate) fn refresh(
        &mut self,
        wanted: impl IntoIterator<Item = u64>,
        inspector: &Inspector,
    ) -> bool {
        let mut before = std::mem::take(&mut self.names);
        let missing = std::mem::take(&mut self.missing);
        let (mut asked, mut is_changed) = (0, false);
        for word in wanted {
            if word == 0 || self.names.contains_key(&word) {
                continue;
            }
            if missing.contains(&word) {
                self.missing.insert(word);
                continue;
            }
            if let Some(known) = before.remove(&word) {
                self.names.insert(word, known);
                continue;
            }
            asked += 1;
            if asked > AT_ONCE {
                continue;
            }
            is_changed |= self.ask(word, inspector);
        }
        is_changed
    }

    /// Asks for all of these, once each, however long it takes.
    pub(crate) fn ask_all(&mut self, wanted: &[u64], inspector: &Inspector) {
        for word in wanted.iter().filter(|it| **it != 0) {
            self.ask(*word, inspector);
        }
    }

    /// Asks for one that is not known. Whether it is now.
    fn ask(&mut self, word: u64, inspector: &Inspector) -> bool {
        match inspector.memcg(word) {
            Some(answer) => {
                self.names.insert(word, names::cgroup(&answer));
                true
            }
            None => {
                self.missing.insert(word);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_does_not_tell_is_asked_for_once_and_forgotten_with_its_folios() {
        let mut memcgs = Memcgs::default();
        let nobody = Inspector::default();
        assert!(!memcgs.refresh([0, 8, 8, 16], &nobody));
        assert_eq!(memcgs.missing, HashSet::from([8, 16]));
        memcgs.refresh([8], &nobody);
        assert_eq!(memcgs.missing, HashSet::from([8]));
        assert_eq!(memcgs.of(8), None);
    }
}
