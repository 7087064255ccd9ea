//! The web configuration, as `curl`, `openssl` and `promtool` meet it: of an agent that is switched
//! off, which serves HTTP and needs no privileges. Leaves out what is wrong in a configuration, which
//! unit tests tell.

mod agent;
mod answers;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use agent::{Agent, refused};

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

fn users() -> String {
    format!("basic_auth_users:\n  alice: {}\n", hash("sesame"))
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 10).expect("it can be hashed")
}

/// A folder with a key of each name and a certificate that it signed for itself.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("it can be made");
    names.iter().for_each(|it| certify(folder.path(), it, it));
    folder
}

/// Writes `NAMEkey.pem` and `NAMEcert.pem`.
fn certify(folder: &Path, name: &str, subject: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        .args(["-subj", &format!("/CN=pinscope{subject}")])
        .args([
            "-keyout",
            &format!("{name}key.pem"),
            "-out",
            &format!("{name}cert.pem"),
        ])
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
}

/// Writes `NAMEkey.pem` and `NAMEcert.pem` of a client, signed by the authority whose files are there.
fn certify_client(folder: &Path, name: &str, authority: &str) {
    let openssl = |arguments: String| {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{made:?}");
    };
    fs::write(
        folder.join("extensions"),
        "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n",
    )
    .expect("it can be written");
    openssl(format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout \
         {name}key.pem -out {name}.csr"
    ));
    openssl(format!(
        "x509 -req -in {name}.csr -CA {authority}cert.pem -CAkey {authority}key.pem -CAcreateserial \
         -days 2 -extfile extensions -out {name}cert.pem"
    ));
}

/// What `curl` gets, with the status at its end.
fn curl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "20"])
        .args(["--write-out", "\nstatus %{http_code}\n"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("curl is installed");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// What `openssl s_client` says of a handshake.
fn handshake(folder: &Path, agent: &Agent, arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &agent.address,
            "-CAfile",
            "cert.pem",
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .current_dir(folder)
        .output()
        .expect("openssl is installed")
}

fn promtool(folder: &Path) -> Output {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/promtool");
    Command::new(promtool)
        .args(["check", "web-config", "web.yml"])
        .current_dir(folder)
        .output()
        .expect("`cargo xtask setup` has brought promtool")
}

#[test]
fn with_a_password_alone_it_answers_those_who_have_it() {
    let folder = folder(&[]);
    let here = folder.path();
    let header = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let agent = Agent::start(here, &(users() + header));
    assert!(promtool(here).status.success(), "{:?}", promtool(here));
    let url = &agent.url;
    assert!(url.starts_with("http://"), "{url}");

    let right = curl(here, &["--user", "alice:sesame", url]);
    assert!(
        right.contains("status 200") && right.contains("pinscope_switched_off 1"),
        "{right}"
    );
    assert!(
        right.to_lowercase().contains("x-frame-options: deny"),
        "{right}"
    );
    for wrong in [
        &["--user", "alice:wrong", url][..],
        &["--user", "nobody:sesame", url],
        &["--user", "alice:", url],
        &["--header", "Authorization: Bearer sesame", url],
        &[url],
    ] {
        let answer = curl(here, wrong).to_lowercase();
        assert!(answer.contains("status 401"), "{wrong:?}: {answer}");
        assert!(
            answer.contains("www-authenticate: basic"),
            "{wrong:?}: {answer}"
        );
        assert!(
            answer.contains("x-frame-options: deny"),
            "{wrong:?}: {answer}"
        );
        assert!(!answer.contains("pinscope_"), "{wrong:?}: {answer}");
    }
    // Health, too, is for those who may read.
    let health = curl(here, &[&url.replace("/metrics", "/healthz")]);
    assert!(health.contains("status 401"), "{health}");
}

#[test]
fn over_tls_it_shows_its_certificate_and_reads_a_new_one() {
    let folder = folder(&[""]);
    let here = folder.path();
    let agent = Agent::start(here, &(TLS.to_owned() + &users()));
    assert!(promtool(here).status.success(), "{:?}", promtool(here));
    let asked = [
        "--cacert",
        "cert.pem",
        "--user",
        "alice:sesame",
        agent.url.as_str(),
    ];
    assert!(agent.url.starts_with("https://"), "{}", agent.url);
    let answer = curl(here, &asked);
    assert!(answer.contains("status 200"), "{answer}");

    for version in ["-tls1_2", "-tls1_3"] {
        let output = handshake(here, &agent, &[version, "-verify_return_error"]);
        assert!(output.status.success(), "{version}: {output:?}");
    }
    let old = handshake(here, &agent, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!old.status.success(), "{old:?}");

    let before = fs::read(here.join("cert.pem")).expect("it is there");
    certify(here, "", "renewed");
    assert_ne!(
        fs::read(here.join("cert.pem")).expect("it is there"),
        before
    );
    let shown = handshake(here, &agent, &["-verify_return_error"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("pinscoperenewed"), "{shown}");
    // A key that is not the certificate's leaves the last pair in force.
    certify(here, "other", "other");
    fs::copy(here.join("otherkey.pem"), here.join("key.pem")).expect("it can be made");
    let answer = curl(here, &asked);
    assert!(answer.contains("status 200"), "{answer}");
}

#[test]
fn whoever_speaks_http_to_its_tls_port_is_told() {
    let folder = folder(&[""]);
    let agent = Agent::start(folder.path(), TLS);
    let plain = agent.url.replace("https://", "http://");
    let answer = curl(folder.path(), &[&plain]);
    assert!(answer.contains("status 400"), "{answer}");
    assert!(
        answer.contains("Client sent an HTTP request to an HTTPS server."),
        "{answer}"
    );
}

#[test]
fn a_client_without_a_certificate_is_not_let_in_where_one_is_required() {
    let folder = folder(&["", "ours", "theirs"]);
    let here = folder.path();
    certify_client(here, "client", "ours");
    certify_client(here, "stranger", "theirs");
    let asks = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ourscert.pem\n  \
                min_version: TLS13\n";
    let agent = Agent::start(here, &(TLS.to_owned() + asks));
    let url = agent.url.as_str();
    let known = [
        "--cacert",
        "cert.pem",
        "--cert",
        "clientcert.pem",
        "--key",
        "clientkey.pem",
        url,
    ];
    let answer = curl(here, &known);
    assert!(answer.contains("status 200"), "{answer}");
    let stranger = [
        "--cacert",
        "cert.pem",
        "--cert",
        "strangercert.pem",
        "--key",
        "strangerkey.pem",
        url,
    ];
    for wrong in [&["--cacert", "cert.pem", url][..], &stranger] {
        let answer = curl(here, wrong);
        assert!(answer.contains("status 000"), "{answer}");
    }
    let old = handshake(here, &agent, &["-tls1_2"]);
    assert!(!old.status.success(), "{old:?}");
}

#[test]
fn wrong_passwords_take_a_fifth_of_a_cpu_at_most_and_keep_nobody_out_who_was_in() {
    let folder = folder(&[]);
    let here = folder.path();
    let agent = Agent::start(here, &users());
    let url = agent.url.as_str();
    let right = || curl(here, &["--user", "alice:sesame", url]);
    assert!(right().contains("status 200"));
    let (begun, before) = (Instant::now(), agent.cpu_seconds());
    let answered = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for attacker in 0..4 {
            scope.spawn(move || {
                for guess in 0..3 {
                    let user = format!("alice:{attacker}-{guess}");
                    let answer = curl(here, &["--user", &user, url]);
                    assert!(answer.contains("status 401"), "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Its password was checked already, and waits for none of the others: in a row with the four it would be
        // answered six times after all of theirs.
        for _time in 0..6 {
            assert!(right().contains("status 200"));
        }
        assert!(answered.load(Ordering::Relaxed) < 12);
    });
    let used = agent.cpu_seconds() - before;
    let share = used / begun.elapsed().as_secs_f64();
    println!(
        "12 wrong passwords took {used:.2} s of CPU time, {:.0} % of one",
        share * 100.0
    );
    assert!(used > 0.0, "it checked nothing");
    assert!(share < 0.4, "{share}");
}

#[test]
fn nothing_can_be_written_to_it() {
    let folder = folder(&[]);
    let agent = Agent::start(folder.path(), "");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let asked = ["--request", method, "--data", "x", agent.url.as_str()];
        let answer = curl(folder.path(), &asked);
        assert!(answer.contains("status 405"), "{method}: {answer}");
    }
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let folder = folder(&[]);
    let agent = Agent::start(folder.path(), "");
    let header = format!("X-Long: {}", "x".repeat(20_000));
    let asked = ["--header", header.as_str(), agent.url.as_str()];
    let answer = curl(folder.path(), &asked);
    assert!(answer.contains("status 431"), "{answer}");
}

#[test]
fn a_configuration_that_cannot_be_used_ends_the_start_with_2() {
    let folder = folder(&[""]);
    let here = folder.path();
    for (text, wanted) in [
        (
            "tls_server_config:\n  cert_file: cert.pem\n",
            "tls_server_config.key_file",
        ),
        (
            "basic_auth_users:\n  alice: plain\n",
            "basic_auth_users.alice",
        ),
        (
            "tls_server_config:\n  cert_file: none.pem\n  key_file: key.pem\n",
            "none.pem",
        ),
        ("auth_excluded_paths: [/metrics]\n", "auth_excluded_paths"),
    ] {
        let said = refused(here, text);
        assert!(said.contains(wanted) && said.contains("web.yml"), "{said}");
    }
}
