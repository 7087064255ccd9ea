//! From `tls_server_config` to what rustls takes. Every key of it is heeded, or refused by its name.

use std::sync::Arc;

use rustls::{
    NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::config::TlsSection;

/// Reads a file that the section names.
pub(super) type Read<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// What a connection is accepted with.
pub(super) fn server_config(
    section: &TlsSection,
    read: Read<'_>,
) -> Result<Arc<ServerConfig>, String> {
    build(section, read)
        .map(Arc::new)
        .map_err(|it| format!("tls_server_config.{it}"))
}

fn build(section: &TlsSection, read: Read<'_>) -> Result<ServerConfig, String> {
    let mut provider = ring::default_provider();
    if let Some(names) = section.cipher_suites.as_deref().filter(|it| !it.is_empty()) {
        choose_suites(&mut provider, names)?;
    }
    if let Some(names) = section
        .curve_preferences
        .as_deref()
        .filter(|it| !it.is_empty())
    {
        choose_curves(&mut provider, names)?;
    }
    let provider = Arc::new(provider);
    let cert = given(
        "cert",
        section.cert.as_ref(),
        section.cert_file.as_ref(),
        read,
    )?
    .ok_or("cert_file: it is missing")?;
    let key = given("key", section.key.as_ref(), section.key_file.as_ref(), read)?
        .ok_or("key_file: it is missing")?;
    let ca = given(
        "client_ca",
        section.client_ca.as_ref(),
        section.client_ca_file.as_ref(),
        read,
    )?;
    let certs = certificates("cert_file", &cert)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|it| format!("key_file: no private key in PEM: {it}"))?;
    let verifier = verifier(section, ca, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(section)?)
        .map_err(|it| format!("cipher_suites: {it}"))?;
    let builder = match verifier {
        Some(it) => builder.with_client_cert_verifier(it),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(certs, key)
        .map_err(|it| format!("cert_file and key_file: {it}"))?;
    config.ignore_client_order = section.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What stands in the configuration itself or in a file; not in both.
fn given(
    key: &str,
    inline: Option<&String>,
    file: Option<&String>,
    read: Read<'_>,
) -> Result<Option<Vec<u8>>, String> {
    let text = |it: Option<&String>| it.filter(|it| !it.is_empty()).cloned();
    match (text(inline), text(file)) {
        (Some(_), Some(_)) => Err(format!(
            "{key}: there is a {key}_file, too; which is meant?"
        )),
        (Some(inline), None) => Ok(Some(inline.into_bytes())),
        (None, Some(file)) => read(&file)
            .map(Some)
            .map_err(|it| format!("{key}_file: {it}")),
        (None, None) => Ok(None),
    }
}

fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|it| format!("{key}: {it}"))?;
    match certs.is_empty() {
        true => Err(format!("{key}: no certificate in PEM")),
        false => Ok(certs),
    }
}

fn verifier(
    section: &TlsSection,
    ca: Option<Vec<u8>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let policy = section.client_auth_type.as_deref().unwrap_or_default();
    let is_required = match policy {
        "" | "NoClientCert" => {
            return match ca {
                Some(_) => Err("client_ca_file: it takes a client_auth_type".to_owned()),
                None => Ok(None),
            };
        }
        "VerifyClientCertIfGiven" => false,
        "RequireAndVerifyClientCert" => true,
        "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
            return Err(format!(
                "client_auth_type: `{policy}` asks for certificates that nobody verifies, which pinscope \
                 does not do; RequireAndVerifyClientCert does"
            ));
        }
        _ => return Err(format!("client_auth_type: `{policy}` is not known")),
    };
    let ca = ca.ok_or_else(|| format!("client_ca_file: `{policy}` takes one"))?;
    let mut roots = RootCertStore::empty();
    for cert in certificates("client_ca_file", &ca)? {
        roots
            .add(cert)
            .map_err(|it| format!("client_ca_file: {it}"))?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match is_required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    let verifier = builder
        .build()
        .map_err(|it| format!("client_ca_file: {it}"))?;
    Ok(Some(verifier))
}

fn versions(section: &TlsSection) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let number = |key: &str, name: Option<&String>, usual: u8| match name.map(String::as_str) {
        None | Some("") => Ok(usual),
        Some("TLS12") => Ok(12),
        Some("TLS13") => Ok(13),
        Some(it @ ("TLS10" | "TLS11")) => Err(format!(
            "{key}: `{it}` is broken, and pinscope does not speak it; there are TLS12 and TLS13"
        )),
        Some(it) => Err(format!("{key}: `{it}` is neither TLS12 nor TLS13")),
    };
    let least = number("min_version", section.min_version.as_ref(), 12)?;
    let most = number("max_version", section.max_version.as_ref(), 13)?;
    if least > most {
        return Err("min_version: it is above max_version".to_owned());
    }
    let all = [(13, &TLS13), (12, &TLS12)];
    let wanted = all.iter().filter(|it| (least..=most).contains(&it.0));
    Ok(wanted.map(|it| it.1).collect())
}

/// Those of TLS 1.2, by the names that Go gives them; those of 1.3 stay, as they do there.
fn choose_suites(provider: &mut CryptoProvider, names: &[String]) -> Result<(), String> {
    let all = std::mem::take(&mut provider.cipher_suites);
    let name = |it: &rustls::SupportedCipherSuite| {
        let name = format!("{:?}", it.suite());
        name.replace("TLS13_", "TLS_")
    };
    let of_1_3 = all.iter().filter(|it| it.tls13().is_some());
    provider.cipher_suites = of_1_3.copied().collect();
    for wanted in names {
        let Some(suite) = all.iter().find(|it| name(it) == *wanted) else {
            let known: Vec<String> = all.iter().map(name).collect();
            return Err(format!(
                "cipher_suites: `{wanted}` is none of {}",
                known.join(", ")
            ));
        };
        if suite.tls13().is_none() {
            provider.cipher_suites.push(*suite);
        }
    }
    Ok(())
}

fn choose_curves(provider: &mut CryptoProvider, names: &[String]) -> Result<(), String> {
    let mut chosen = Vec::new();
    for wanted in names {
        let group = match wanted.as_str() {
            "X25519" => NamedGroup::X25519,
            "CurveP256" => NamedGroup::secp256r1,
            "CurveP384" => NamedGroup::secp384r1,
            _ => {
                return Err(format!(
                    "curve_preferences: `{wanted}` is none of X25519, CurveP256, CurveP384"
                ));
            }
        };
        let known = provider.kx_groups.iter().find(|it| it.name() == group);
        chosen.extend(known.copied());
    }
    provider.kx_groups = chosen;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut TlsSection)) -> String {
        let mut section = TlsSection::default();
        change(&mut section);
        let mut read = |_: &str| Err("it is not there".to_owned());
        server_config(&section, &mut read).map(drop).unwrap_err()
    }

    #[test]
    fn what_is_missing_unknown_or_not_done_is_said_with_its_key() {
        let some = |it: &str| Some(it.to_owned());
        let list = |it: &str| Some(vec![it.to_owned()]);
        for (said, wanted) in [
            (refused(|_| {}), "cert_file: it is missing"),
            (
                refused(|it| it.cert_file = some("a")),
                "cert_file: it is not there",
            ),
            (
                refused(|it| it.cipher_suites = list("TLS_RSA_WITH_AES_128_CBC_SHA")),
                "cipher_suites: `TLS_RSA_WITH_AES_128_CBC_SHA`",
            ),
            (
                refused(|it| it.curve_preferences = list("CurveP521")),
                "curve_preferences: `CurveP521`",
            ),
            (
                refused(|it| (it.cert, it.cert_file) = (some("a"), some("b"))),
                "cert: ",
            ),
        ] {
            let wanted = format!("tls_server_config.{wanted}");
            assert!(said.starts_with(&wanted), "{said}");
        }
    }

    #[test]
    fn old_and_crossed_versions_are_refused() {
        let of = |least: &str, most: &str| {
            versions(&TlsSection {
                min_version: Some(least.to_owned()),
                max_version: Some(most.to_owned()),
                ..TlsSection::default()
            })
            .map(|it| it.len())
        };
        assert_eq!(of("", ""), Ok(2));
        assert_eq!(of("TLS13", ""), Ok(1));
        assert_eq!(of("TLS12", "TLS12"), Ok(1));
        for (least, most) in [
            ("TLS10", ""),
            ("TLS11", ""),
            ("SSL3", ""),
            ("TLS13", "TLS12"),
        ] {
            assert!(of(least, most).unwrap_err().starts_with("min_version: "));
        }
    }

    #[test]
    fn suites_are_called_as_go_calls_them_and_those_of_1_3_stay() {
        let mut provider = ring::default_provider();
        let wanted = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        choose_suites(&mut provider, &[wanted.to_owned()]).unwrap();
        let names = provider.cipher_suites.iter();
        let names: Vec<_> = names.map(|it| format!("{:?}", it.suite())).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(names[3], wanted);
    }

    #[test]
    fn a_policy_that_verifies_nothing_is_refused() {
        let provider = Arc::new(ring::default_provider());
        let of = |policy: &str, ca: Option<Vec<u8>>| {
            let section = TlsSection {
                client_auth_type: Some(policy.to_owned()),
                ..TlsSection::default()
            };
            verifier(&section, ca, &provider).map(|it| it.is_some())
        };
        assert_eq!(of("NoClientCert", None), Ok(false));
        for (policy, ca, key) in [
            ("RequestClientCert", None, "client_auth_type: "),
            ("RequireAnyClientCert", None, "client_auth_type: "),
            ("Everybody", None, "client_auth_type: "),
            ("RequireAndVerifyClientCert", None, "client_ca_file: "),
            ("NoClientCert", Some(Vec::new()), "client_ca_file: "),
            (
                "RequireAndVerifyClientCert",
                Some(Vec::new()),
                "client_ca_file: ",
            ),
        ] {
            let said = of(policy, ca).unwrap_err();
            assert!(said.starts_with(key), "{policy}: {said}");
        }
    }
}
