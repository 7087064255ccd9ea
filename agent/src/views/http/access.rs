//! Who may read: names and passwords of the configuration. A check of a password costs much CPU time
//! by design, so there is one at a time, and a pause after each. A password that was right once costs
//! nothing more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;
use ring::{
    hmac::{self, HMAC_SHA256, Key, Tag},
    rand::SystemRandom,
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::sleep,
};

/// After a check nobody is checked for so many times as long as it took: a fifth of one CPU at most.
const REST: u32 = 4;

/// What is known of passwords beside their hashes.
pub(super) struct Access {
    /// One check at a time.
    turn: Arc<Semaphore>,
    /// Made anew at each start, and known to nobody.
    key: Key,
    /// Of each user, what was right last, so that it need not be checked again.
    right: Mutex<HashMap<String, Tag>>,
}

impl Access {
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            turn: Arc::new(Semaphore::new(1)),
            key: Key::generate(HMAC_SHA256, &SystemRandom::new())?,
            right: Mutex::default(),
        })
    }

    /// Whether who sends this header may read; everybody may where there are no users.
    pub(super) async fn allows(
        &self,
        users: &BTreeMap<String, String>,
        sent: Option<&HeaderValue>,
    ) -> bool {
        // Of the hashes, the one whose check takes longest.
        let Some(longest) = users.values().max_by_key(|it| cost(it)) else {
            return true;
        };
        let Some((name, password)) = sent.and_then(credentials) else {
            return false;
        };
        let known = users.get(&name);
        // A name that nobody has takes as long as one that somebody has.
        let hash = known.unwrap_or(longest);
        let tried = tried(&name, hash, &password);
        if known.is_some() && self.was_right(&name, &tried) {
            return true;
        }
        let is_right = self.check(hash.clone(), password).await && known.is_some();
        if is_right {
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            right.retain(|it, _| users.contains_key(it));
            right.insert(name, hmac::sign(&self.key, &tried));
        }
        is_right
    }

    fn was_right(&self, name: &str, tried: &[u8]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tag) = right.get(name) else {
            return false;
        };
        hmac::verify(&self.key, tried, tag.as_ref()).is_ok()
    }

    /// Comes back with the answer. The turn ends later, and whoever asked may be gone by then.
    async fn check(&self, hash: String, password: Vec<u8>) -> bool {
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            return false;
        };
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let begun = Instant::now();
            let checked = spawn_blocking(move || bcrypt::verify(password, &hash)).await;
            let took = begun.elapsed();
            // Who asked may be gone.
            let _ = answer.send(matches!(checked, Ok(Ok(true))));
            sleep(took * REST).await;
            drop(turn);
        });
        answered.await.unwrap_or(false)
    }
}

/// What is remembered of a right password: the hash too, so that a new one is checked anew.
fn tried(name: &str, hash: &str, password: &[u8]) -> Vec<u8> {
    let mut tried = Vec::new();
    for part in [name.as_bytes(), hash.as_bytes(), password] {
        tried.extend((part.len() as u64).to_le_bytes());
        tried.extend(part);
    }
    tried
}

fn cost(hash: &str) -> u32 {
    let parts = hash.parse::<bcrypt::HashParts>();
    parts.map_or(0, |it| it.get_cost())
}

/// Name and password of an `Authorization` header.
fn credentials(header: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let both = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = both.iter().position(|it| *it == b':')?;
    let name = String::from_utf8(both[..colon].to_vec()).ok()?;
    Some((name, both[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(password: &str) -> BTreeMap<String, String> {
        let hash = bcrypt::hash(password, 4).unwrap();
        BTreeMap::from([("alice".to_owned(), hash)])
    }

    fn sent(both: &str) -> HeaderValue {
        let header = format!("Basic {}", BASE64_STANDARD.encode(both));
        HeaderValue::from_str(&header).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_let_in() {
        let access = Access::new().unwrap();
        let users = users("open:sesame");
        assert!(
            access
                .allows(&users, Some(&sent("alice:open:sesame")))
                .await
        );
        for wrong in [
            "alice:",
            "alice:open",
            "bob:open:sesame",
            ":open:sesame",
            "alice",
        ] {
            assert!(!access.allows(&users, Some(&sent(wrong))).await, "{wrong}");
        }
        assert!(!access.allows(&users, None).await);
        assert!(access.allows(&BTreeMap::new(), None).await);
    }

    #[tokio::test]
    async fn what_was_right_is_not_checked_again_until_the_hash_changes() {
        let access = Access::new().unwrap();
        let (first, second) = (users("first"), users("second"));
        let header = sent("alice:first");
        assert!(access.allows(&first, Some(&header)).await);
        // With the turn gone for good, whatever needs a check would wait.
        access.turn.acquire().await.unwrap().forget();
        assert!(access.allows(&first, Some(&header)).await);
        access.turn.add_permits(1);
        assert!(!access.allows(&second, Some(&header)).await);
    }

    #[tokio::test]
    async fn a_user_who_is_gone_is_forgotten() {
        let access = Access::new().unwrap();
        let old = BTreeMap::from([("bob".to_owned(), bcrypt::hash("b", 4).unwrap())]);
        assert!(access.allows(&old, Some(&sent("bob:b"))).await);
        assert!(access.allows(&users("a"), Some(&sent("alice:a"))).await);
        assert_eq!(access.right.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_takes_a_check_too() {
        let access = Access::new().unwrap();
        let users = users("a");
        access.turn.acquire().await.unwrap().forget();
        let header = sent("nobody:a");
        let asked = access.allows(&users, Some(&header));
        tokio::pin!(asked);
        tokio::select! {
            biased;
            _ = &mut asked => panic!("it was answered without a check"),
            () = std::future::ready(()) => {}
        }
        access.turn.add_permits(1);
        assert!(!asked.await);
    }

    #[test]
    fn a_header_that_is_none_is_nobodys() {
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic YQ==",
            "Bearer YTpi",
            "Basic /zpi",
        ] {
            assert_eq!(
                credentials(&HeaderValue::from_static(wrong)),
                None,
                "{wrong}"
            );
        }
        let known = credentials(&HeaderValue::from_static("bAsIc YTpi"));
        assert_eq!(known, Some(("a".to_owned(), b"b".to_vec())));
    }

    #[test]
    fn fuzz_authorization() {
        crate::fuzz::bytes(
            &[b"Basic YWxpY2U6c2VzYW1l", b"basic Og==", b"Bearer x"],
            |it| {
                if let Ok(header) = HeaderValue::from_bytes(it) {
                    drop(credentials(&header));
                }
            },
        );
    }
}
