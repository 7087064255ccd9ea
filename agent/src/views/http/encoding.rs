//! In which encoding a client takes an answer: as it is, or packed with gzip, which is a tenth as long.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};
use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// Whether the client takes gzip, by what it sent (RFC 9110, section 12.5.3). One that says nothing is
/// sent the answer as it is.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    let sent = headers.get_all(ACCEPT_ENCODING).into_iter();
    let sent = sent.filter_map(|it| it.to_str().ok());
    for entry in sent.flat_map(|it| it.split(',')) {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return is_wanted(weight);
        }
        any |= name == "*" && is_wanted(weight);
    }
    any
}

/// Whether a weight is another than none, such as `q=0.000`. What cannot be understood is none.
fn is_wanted(weight: &str) -> bool {
    let weight = weight.trim();
    if weight.is_empty() {
        return true;
    }
    let value = weight.split_once('=');
    let value = value.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let value = value.and_then(|(_, it)| it.trim().parse::<f32>().ok());
    value.is_some_and(|it| it > 0.0)
}

/// The text, packed as fast as it goes: the next level takes twice the time for a twelfth less length.
pub(super) fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(text.len() / 4);
    let mut packed = GzEncoder::new(room, Compression::fast());
    packed.write_all(text)?;
    packed.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use hyper::header::HeaderValue;

    use super::*;

    fn takes(sent: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for it in sent {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(it).unwrap());
        }
        takes_gzip(&headers)
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for sent in [
            "gzip",
            "GZIP",
            "deflate, gzip;q=1.0, *;q=0.5",
            "br ,gzip ; q = 0.001",
            "x-gzip",
            "*",
            "identity;q=0, *",
        ] {
            assert!(takes(&[sent]), "{sent}");
        }
        assert!(takes(&["br", "gzip"]));
    }

    #[test]
    fn everybody_else_gets_it_as_it_is() {
        for sent in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip; q=0.000, *",
            "*, gzip;q=0",
            "*;q=0",
            "gzip;q=often",
            "gzip;level=9",
            "gzipped",
        ] {
            assert!(!takes(&[sent]), "{sent}");
        }
        assert!(!takes(&[]));
    }

    #[test]
    fn what_is_packed_is_what_was_there() {
        for text in [String::new(), "pinscope_pins 1\n".repeat(10_000)] {
            let packed = gzip(text.as_bytes()).unwrap();
            assert!(packed.len() < text.len() / 20 + 40, "{}", packed.len());
            let mut again = String::new();
            GzDecoder::new(&packed[..])
                .read_to_string(&mut again)
                .unwrap();
            assert_eq!(again, text);
        }
    }

    #[test]
    fn fuzz_accept_encoding() {
        crate::fuzz::bytes(&[b"gzip;q=0.5, *;q=0", b"deflate, gzip"], |it| {
            if let Ok(value) = HeaderValue::from_bytes(it) {
                takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]));
            }
        });
    }
}
