//! The web configuration file, in the format of Prometheus' exporter-toolkit, as plain data. What
//! pinscope does not do is refused by name. Leaves out what certificates and keys are, which is `tls`.

use std::{collections::BTreeMap, path::Path};

use bcrypt::HashParts;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_saphyr::UserMessageFormatter;

/// The most that a hash may cost: one more doubles the time, and this takes about a second.
const MOST_COST: u32 = 14;

/// The least that bcrypt knows.
const LEAST_COST: u32 = 4;

/// The headers that the format has, and the values that they may have, if not any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// The file, checked, apart from what lies in other files.
#[derive(Debug)]
pub(super) struct WebConfig {
    pub(super) tls: Option<TlsSection>,
    /// Their passwords, hashed.
    pub(super) users: BTreeMap<String, String>,
    /// Of every answer.
    pub(super) headers: HeaderMap,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<TlsSection>,
    http_server_config: Option<HttpSection>,
    basic_auth_users: Option<BTreeMap<String, String>>,
}

/// `tls_server_config`, as it stands there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsSection {
    pub(super) cert: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpSection {
    http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

/// Reads the file's text. What is wrong with it comes with its key, and never with a secret of it.
pub(super) fn parse(text: &str) -> Result<WebConfig, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().and_then(|it| {
            let before = usize::try_from(it.line()).ok()?.checked_sub(1)?;
            text.lines().nth(before)
        });
        let said = error
            .without_snippet()
            .render_with_formatter(&UserMessageFormatter);
        match line.and_then(key) {
            Some(key) => format!("{key}: {said}"),
            None => said,
        }
    })?;
    if let Some(tls) = &file.tls_server_config
        && tls.client_allowed_sans.is_some()
    {
        return Err(
            "tls_server_config.client_allowed_sans: pinscope does not look at the names in a \
             client's certificate; leave it out, and let client_ca_file name a CA for scrapers alone"
                .to_owned(),
        );
    }
    let http = file.http_server_config.unwrap_or_default();
    if http.http2 == Some(true) {
        return Err(
            "http_server_config.http2: pinscope speaks HTTP/1.1 alone; set it to false, or leave it \
             out"
            .to_owned(),
        );
    }
    let users = file.basic_auth_users.unwrap_or_default();
    for (name, hash) in &users {
        check_user(name, hash).map_err(|it| format!("basic_auth_users.{name}: {it}"))?;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in http.headers.unwrap_or_default() {
        let (name, value) = header(&name, &value)
            .map_err(|it| format!("http_server_config.headers.{name}: {it}"))?;
        headers.insert(name, value);
    }
    Ok(WebConfig {
        tls: file.tls_server_config,
        users,
        headers,
    })
}

/// What stands before the colon, if it is such as a key is. What stands behind it may be a secret.
fn key(line: &str) -> Option<&str> {
    let key = line.split_once(':')?.0.trim();
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-".contains(it);
    (!key.is_empty() && key.chars().all(is_plain)).then_some(key)
}

fn check_user(name: &str, hash: &str) -> Result<(), String> {
    // The header that a client sends has the name up to the first colon.
    if name.is_empty() || name.contains(':') {
        return Err("a user's name is not empty and has no colon".to_owned());
    }
    let parts: HashParts = hash
        .parse()
        .map_err(|_secret| "it is not a bcrypt hash (`htpasswd -nBC 10 NAME`)".to_owned())?;
    match parts.get_cost() {
        LEAST_COST..=MOST_COST => Ok(()),
        cost => Err(format!(
            "a hash of cost {cost}; pinscope takes {LEAST_COST} to {MOST_COST}, because each check of a \
             wrong password costs this host that much"
        )),
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let Some((_, values)) = HEADERS.iter().find(|it| it.0 == name) else {
        let known: Vec<&str> = HEADERS.iter().map(|it| it.0).collect();
        return Err(format!(
            "this header cannot be set; there are {}",
            known.join(", ")
        ));
    };
    if !values.is_empty() && !values.contains(&value) {
        return Err(format!("`{value}` is none of {}", values.join(", ")));
    }
    let value = HeaderValue::from_str(value).map_err(|_| "no header has such a value")?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|it| it.to_string())?;
    Ok((name, value))
}

/// Where a file lies that the configuration names: beside it, unless it says all of the path.
pub(super) fn beside(config: &Path, name: &str) -> std::path::PathBuf {
    config
        .parent()
        .map_or_else(|| name.into(), |it| it.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a text that is refused.
    fn refused(text: &str) -> String {
        parse(text).map(|it| format!("{it:?}")).unwrap_err()
    }

    fn user(hash: &str) -> String {
        format!("basic_auth_users:\n  alice: {hash}\n")
    }

    const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

    #[test]
    fn a_file_that_says_nothing_asks_for_nothing() {
        for text in ["", "{}", "tls_server_config:\n"] {
            let config = parse(text).unwrap();
            assert!(config.tls.is_none() && config.users.is_empty(), "{text}");
        }
    }

    #[test]
    fn users_headers_and_tls_are_read() {
        let config = parse(&format!(
            "{}tls_server_config:\n  cert_file: a.pem\nhttp_server_config:\n  http2: false\n  headers:\n    \
             X-Frame-Options: deny\n",
            user(HASH)
        ))
        .unwrap();
        assert_eq!(config.users["alice"], HASH);
        assert_eq!(config.headers["x-frame-options"], "deny");
        assert_eq!(config.tls.unwrap().cert_file.unwrap(), "a.pem");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key() {
        for (text, key) in [
            ("rate_limit:\n  burst: 1\n", "rate_limit"),
            ("tls_server_config:\n  cert_fil: a\n", "cert_fil"),
            (
                "tls_server_config:\n  prefer_server_cipher_suites: maybe\n",
                "prefer_server_cipher_suites: ",
            ),
            (
                "tls_server_config:\n  client_allowed_sans: [a]\n",
                "tls_server_config.client_allowed_sans: ",
            ),
            (
                "http_server_config:\n  http2: true\n",
                "http_server_config.http2: ",
            ),
            (
                "http_server_config:\n  headers:\n    X-Frame-Options: no\n",
                "http_server_config.headers.X-Frame-Options: ",
            ),
            (
                "http_server_config:\n  headers:\n    Server: me\n",
                "http_server_config.headers.Server: ",
            ),
            ("basic_auth_users:\n  a:b: $2y$10$x\n", "basic_auth_users"),
            (&format!("{}  alice: x\n", user(HASH)), "alice"),
        ] {
            let said = refused(text);
            assert!(said.contains(key), "{text}: {said}");
        }
    }

    #[test]
    fn a_hash_that_is_none_or_costs_too_much_is_refused_and_not_shown() {
        for (hash, wanted) in [
            ("hunter2", "not a bcrypt hash"),
            (&HASH.replace("$10$", "$15$"), "cost 15"),
            (&HASH.replace("$10$", "$99$"), "cost 99"),
            (&HASH.replace("$10$", "$03$"), "cost 3"),
            (&HASH.replace("$2y$", "$6a$"), "not a bcrypt hash"),
        ] {
            let said = refused(&user(hash));
            assert!(said.starts_with("basic_auth_users.alice: "), "{said}");
            assert!(said.contains(wanted) && !said.contains(hash), "{said}");
        }
        let said = refused("basic_auth_users:\n  alice: [hunter2]\n");
        assert!(
            said.contains("alice") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn fuzz_web_config() {
        crate::fuzz::bytes(
            &[SEED.as_bytes(), b"{}", b"a: &a [x, x]\nb: [*a, *a]\n"],
            |it| {
                if let Ok(text) = std::str::from_utf8(it) {
                    drop(parse(text));
                }
            },
        );
    }

    const SEED: &str = "tls_server_config:\n  cert_file: a\n  cipher_suites: [A]\n  min_version: TLS12\n\
        http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\nbasic_auth_users:\n  \
        alice: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG\n";
}
