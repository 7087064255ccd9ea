//! The web configuration of the service, which runs as a user who may not read root's files.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};

use crate::service::{ADDRESS, UNIT, start, with_setting};
use crate::systemd::systemctl;

/// Root's own.
const FILE: &str = "/run/web-of-a-test.yml";

/// The password is `sesame`.
const CONFIGURATION: &str = "basic_auth_users:\n  alice: \
     $2b$10$abcdefghijklmnopqrstuuYoA/Ig5dOcHJ1Uzls.zCgSC7r9v4W76\n";

/// As docs/operating.md tells operators to do it.
const SETTING: &str = "LoadCredential=web.yml:/run/web-of-a-test.yml\n\
     Environment=PINSCOPE_WEB_CONFIG=%d/web.yml";

pub(super) fn a_password_that_systemd_hands_over_is_asked_for() -> Result<()> {
    fs::write(FILE, CONFIGURATION)?;
    fs::set_permissions(FILE, Permissions::from_mode(0o600))?;
    let done = with_setting(SETTING, || {
        systemctl(&["stop", UNIT])?;
        start()?;
        check("", "401")?;
        check("Authorization: Basic YWxpY2U6c2VzYW0=\r\n", "401")?;
        check("Authorization: Basic YWxpY2U6c2VzYW1l\r\n", "200")
    });
    fs::remove_file(FILE)?;
    systemctl(&["stop", UNIT])?;
    start()?;
    done?;
    check("", "200")
}

/// What `/healthz` answers to a request with this header.
fn check(header: &str, status: &str) -> Result<()> {
    let mut stream = TcpStream::connect(ADDRESS)?;
    write!(stream, "GET /healthz HTTP/1.0\r\n{header}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let is_it = answer.split(' ').nth(1) == Some(status);
    ensure!(is_it, "{header:?} is answered {answer:?}, and not {status}");
    Ok(())
}
