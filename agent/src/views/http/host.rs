//! By which name a request may ask. A page on the web can give the address of this host a name of its
//! own, and then have a browser on this host ask for it (DNS rebinding): it would read what only this
//! host may. Such a request gives itself away by that name.

use std::net::{IpAddr, Ipv6Addr};

use hyper::{Request, header::HOST, http::uri::Authority};

/// What whoever asks by another name is told.
pub(super) const MISDIRECTED: &str = "this address serves its own host alone, and no other name than localhost or the address; to ask by \
     name, ask for a password (--web-config)\n";

/// Whether a server that only this host reaches, at `address`, is asked by a name that is not its own.
pub(super) fn is_misdirected<B>(request: &Request<B>, address: IpAddr) -> bool {
    let authority = match request.uri().authority() {
        Some(it) => Some(it.clone()),
        None => match request.headers().get(HOST) {
            // HTTP/1.0, which no browser speaks.
            None => return false,
            Some(host) => Authority::try_from(host.as_bytes()).ok(),
        },
    };
    address.to_canonical().is_loopback() && !authority.is_some_and(|it| is_our_own(it.host()))
}

fn is_our_own(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            // RFC 6761: nobody can give these another meaning.
            host.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    fn is_refused(host: Option<&str>, address: &str) -> bool {
        let mut request = Request::builder().uri("/metrics");
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        is_misdirected(&request.body(()).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn localhost_and_addresses_are_names_of_its_own() {
        for host in [
            "127.0.0.1:9969",
            "127.0.0.1",
            "localhost:9969",
            "LocalHost",
            "localhost.",
            "pinscope.localhost:80",
            "[::1]:9969",
            "10.0.0.7:9969",
        ] {
            assert!(!is_refused(Some(host), LOOPBACK), "{host}");
            assert!(!is_refused(Some(host), "::1"), "{host}");
        }
        assert!(!is_refused(None, LOOPBACK));
    }

    #[test]
    fn any_other_is_refused_where_only_this_host_may_ask() {
        for host in [
            "evil.example:9969",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "",
            "[evil]",
            "a b",
        ] {
            assert!(is_refused(Some(host), LOOPBACK), "{host}");
            assert!(is_refused(Some(host), "::ffff:127.0.0.1"), "{host}");
            assert!(!is_refused(Some(host), "192.0.2.1"), "{host}");
            assert!(!is_refused(Some(host), "0.0.0.0"), "{host}");
        }
    }
}
