//! W3C Trace Context: read, checked, carried.

use http::HeaderMap;

/// A `traceparent` header that is valid: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zero.
pub fn parent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    valid(text).then_some(text)
}

/// Whether a text is a valid `traceparent`.
pub fn valid(text: &str) -> bool {
    let b = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| b[range].iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c));
    let zero = |range: std::ops::Range<usize>| b[range].iter().all(|c| *c == b'0');
    b.len() >= 55
        && (b.len() == 55 || b[55] == b'-' && &b[..2] != b"00")
        && hex(0..2)
        && &b[..2] != b"ff"
        && [2, 35, 52].iter().all(|i| b[*i] == b'-')
        && hex(3..35)
        && !zero(3..35)
        && hex(36..52)
        && !zero(36..52)
        && hex(53..55)
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn it_follows_the_recommendation() {
        assert!(valid("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(valid("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later"));
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!valid(bad), "{bad}");
        }
    }
}
