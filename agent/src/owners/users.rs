//! Users: what they are called, and what the processes of each that pin are charged for.
//!
//! Names are those of `/etc/passwd`; who is known elsewhere only is a number.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

use serde::Serialize;
use verdicts::shown;

use super::processes::Accounts;

const PASSWD: &str = "/etc/passwd";

/// Between two looks for a name that was not there.
const READ_EVERY: Duration = Duration::from_secs(60);

/// What the processes of a user that pin are charged for, and may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct UserAccounts {
    /// What the kernel charges the user itself for, whichever process it was, bytes: by this rings
    /// and sockets are held to the limit. Absent where the kernel does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) charged_bytes: Option<u64>,
    /// `VmPin` and `VmLck` of these processes, bytes: which of them are held to the limit is each
    /// driver's own affair, a process at a time.
    pub(crate) vm_pin_bytes: u64,
    pub(crate) vm_lck_bytes: u64,
    /// The least `RLIMIT_MEMLOCK` of them, bytes; absent where there is no limit.
    pub(crate) memlock_limit_bytes: Option<u64>,
}

impl UserAccounts {
    fn add(&mut self, process: &Accounts) {
        self.charged_bytes = self.charged_bytes.max(process.user_charged_bytes);
        self.vm_pin_bytes += process.vm_pin_bytes;
        self.vm_lck_bytes += process.vm_lck_bytes;
        let limits = [self.memlock_limit_bytes, process.memlock_limit_bytes];
        self.memlock_limit_bytes = limits.into_iter().flatten().min();
    }
}

/// All users that pin.
#[derive(Debug, Default)]
pub(crate) struct Users {
    accounts: BTreeMap<u32, UserAccounts>,
    names: HashMap<u32, String>,
    read: Option<Duration>,
}

impl Users {
    /// Its name, as text that can be shown.
    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.names.get(&uid).map(String::as_str)
    }

    /// What its processes are charged for; `None` once all have ended.
    pub(crate) fn accounts(&self, uid: u32) -> Option<UserAccounts> {
        self.accounts.get(&uid).copied()
    }

    /// Of each process that pins the user, and its accounts as far as it has any. Whether anything
    /// is different now.
    pub(crate) fn refresh(
        &mut self,
        processes: impl IntoIterator<Item = (u32, Option<Accounts>)>,
        now: Duration,
    ) -> bool {
        let before = std::mem::take(&mut self.accounts);
        let mut is_named = true;
        for (uid, accounts) in processes {
            is_named &= self.names.contains_key(&uid);
            if let Some(accounts) = accounts {
                self.accounts.entry(uid).or_default().add(&accounts);
            }
        }
        let is_due = self.read.is_none_or(|it| now >= it + READ_EVERY);
        let mut is_changed = self.accounts != before;
        if !is_named && is_due {
            self.read = Some(now);
            let names = parse(&fs::read(PASSWD).unwrap_or_default());
            is_changed |= names != self.names;
            self.names = names;
        }
        is_changed
    }
}

/// `name:password:uid:…`, a line each, in whatever bytes names are.
fn parse(passwd: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in passwd.split(|it| *it == b'\n') {
        let mut parts = line.split(|it| *it == b':');
        let (name, uid) = (parts.next(), parts.nth(1));
        let uid = uid.and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
        if let (Some(name), Some(uid)) = (name, uid) {
            // The first of several names is the one that programs show.
            names.entry(uid).or_insert_with(|| shown(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bytes_and_the_first_of_a_number_counts() {
        let names =
            parse(b"root:x:0:0:r:/root:/bin/sh\ntoor:x:0:0::/:\n\xff\x1b:x:7:7::/:\n# no\n:");
        assert_eq!(names[&0], "root");
        assert!(!names[&7].contains('\u{1b}'), "{names:?}");
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_user_has_the_sum_of_its_processes_and_what_it_is_charged_for_once() {
        let process = |limit, charged| Accounts {
            vm_pin_bytes: 10,
            vm_lck_bytes: 1,
            memlock_limit_bytes: limit,
            user_charged_bytes: charged,
            user_namespace_of: None,
        };
        let mut users = Users::default();
        users.refresh(
            [
                (7, Some(process(None, Some(50)))),
                (7, Some(process(Some(64), Some(50)))),
                (7, None),
                (8, Some(process(None, None))),
            ],
            Duration::ZERO,
        );
        let seven = users.accounts(7).unwrap();
        assert_eq!(seven.charged_bytes, Some(50));
        assert_eq!((seven.vm_pin_bytes, seven.vm_lck_bytes), (20, 2));
        assert_eq!(seven.memlock_limit_bytes, Some(64));
        let eight = users.accounts(8).unwrap();
        assert_eq!(
            (eight.charged_bytes, eight.memlock_limit_bytes),
            (None, None)
        );
        users.refresh([(7, None)], Duration::ZERO);
        assert_eq!(users.accounts(7), None);
    }

    #[test]
    fn fuzz_passwd() {
        crate::fuzz::bytes(&[b"root:x:0:0:root:/root:/bin/sh\n\xff:x:1000:1\n"], |it| {
            drop(parse(it));
        });
    }
}
