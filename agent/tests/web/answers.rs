//! What whoever scrapes is answered: in the encoding that it takes, and by a name of the host.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use flate2::read::GzDecoder;

use crate::{agent::Agent, folder, users};

const METRIC: &str = "pinscope_switched_off 1\n";

/// An answer to one request.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|it| it.eq_ignore_ascii_case(line))
    }

    fn names(&self, header: &str) -> bool {
        let mut names = self.head.lines().filter_map(|it| it.split_once(':'));
        names.any(|(name, _)| name.eq_ignore_ascii_case(header))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn ask(agent: &Agent, request: &str, headers: &[&str]) -> Answer {
    let mut connection = TcpStream::connect(&agent.address).expect("it listens");
    let mut head = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
    for it in headers {
        head += &format!("{it}\r\n");
    }
    head += "\r\n";
    connection.write_all(head.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.expect("an answer has a head");
    Answer {
        head: String::from_utf8_lossy(&answer[..end]).into_owned(),
        body: answer[end + 4..].to_vec(),
    }
}

fn unpacked(body: &[u8]) -> String {
    let mut text = String::new();
    let read = GzDecoder::new(body).read_to_string(&mut text);
    read.expect("it is gzip");
    text
}

#[test]
fn metrics_are_packed_for_who_takes_gzip_and_for_nobody_else() {
    let folder = folder(&[]);
    let agent = Agent::start(folder.path(), "");
    // As Prometheus asks.
    let packed = ask(
        &agent,
        "GET /metrics",
        &["Host: localhost", "Accept-Encoding: gzip"],
    );
    assert!(packed.has("content-encoding: gzip"), "{}", packed.head);
    assert!(packed.has("vary: accept-encoding"), "{}", packed.head);
    assert!(
        packed.has("content-type: text/plain; version=0.0.4"),
        "{}",
        packed.head
    );
    let length = format!("content-length: {}", packed.body.len());
    assert!(packed.has(&length), "{}", packed.head);
    let text = unpacked(&packed.body);
    assert!(text.ends_with(METRIC), "{text}");

    for headers in [
        &["Host: localhost"][..],
        &["Host: localhost", "Accept-Encoding: identity"],
        &["Host: localhost", "Accept-Encoding: gzip;q=0, *"],
        &[
            "Host: localhost",
            "Accept-Encoding: gzip; q=0.0",
            "Accept-Encoding: br",
        ],
    ] {
        let plain = ask(&agent, "GET /metrics", headers);
        assert!(
            !plain.names("content-encoding"),
            "{headers:?}: {}",
            plain.head
        );
        assert!(
            plain.has("vary: accept-encoding"),
            "{headers:?}: {}",
            plain.head
        );
        assert_eq!(plain.text(), text, "{headers:?}");
    }
    let head = ask(
        &agent,
        "HEAD /metrics",
        &["Host: localhost", "Accept-Encoding: gzip"],
    );
    assert!(head.has(&length) && head.body.is_empty(), "{}", head.head);
}

#[test]
fn who_asks_by_a_name_that_somebody_else_gave_is_refused() {
    let folder = folder(&[]);
    let agent = Agent::start(folder.path(), "");
    let port = agent.address.rsplit(':').next().expect("it has one");
    for path in ["/metrics", "/", "/healthz", "/nowhere"] {
        let request = format!("GET {path}");
        let misled = ask(&agent, &request, &[&format!("Host: evil.example:{port}")]);
        assert!(
            misled.head.starts_with("HTTP/1.1 421 "),
            "{path}: {}",
            misled.head
        );
        assert!(
            misled.text().contains("localhost"),
            "{path}: {}",
            misled.text()
        );
        assert!(
            !misled.text().contains("pinscope_"),
            "{path}: {}",
            misled.text()
        );
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "pinscope.localhost"] {
        let answer = ask(&agent, "GET /metrics", &[&format!("Host: {host}:{port}")]);
        assert!(answer.text().contains(METRIC), "{host}: {}", answer.head);
    }
    // A browser has no password for a name that it never asked by.
    let guarded = Agent::start(folder.path(), &users());
    let answer = ask(&guarded, "GET /metrics", &["Host: proxy.example"]);
    assert!(answer.head.starts_with("HTTP/1.1 401 "), "{}", answer.head);
}
