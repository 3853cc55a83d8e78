//! DKIM signatures (RFC 6376, relaxed/relaxed) with RSA-SHA256 or Ed25519-SHA256 (RFC 8463).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::kit::crypto;

/// The headers that are signed where they are there; what is not signed may be changed on the way.
const SIGNED: &[&str] = &[
    "from",
    "reply-to",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A domain's key.
pub(super) struct Signer {
    key: Key,
    domain: String,
    selector: String,
}

impl Signer {
    /// A key in PEM (PKCS #8), RSA or Ed25519; `None` for anything else.
    pub(super) fn new(domain: &str, selector: &str, pem: &str) -> Option<Self> {
        let body: String = pem.replace("\\n", "\n").lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).ok()?;
        let rsa = || RsaKeyPair::from_pkcs8(&der).ok().map(|key| Key::Rsa(Box::new(key)));
        let edwards = || Ed25519KeyPair::from_pkcs8(&der).ok().map(|key| Key::Ed25519(Box::new(key)));
        Some(Self { key: rsa().or_else(edwards)?, domain: domain.to_owned(), selector: selector.to_owned() })
    }

    /// The message with its signature in front. Both kinds of signature are the same for the same message and time.
    pub(super) fn sign(&self, message: &[u8], seconds: i64) -> Option<Vec<u8>> {
        let (head, body) = parts(message)?;
        let headers = fields(head);
        let named: Vec<&str> = SIGNED.iter().copied().filter(|name| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))).collect();
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let hash = crypto::base64(&crypto::sha256(&relaxed_body(body)));
        let value = format!(
            "v=1; a={algorithm}; c=relaxed/relaxed; d={}; s={};\r\n\tt={seconds}; h={};\r\n\tbh={hash};\r\n\tb=",
            self.domain,
            self.selector,
            named.join(":\r\n\t ")
        );
        let tag = crypto::base64(&self.tag(&signed_text(&headers, &named, &value))?);
        let tag: Vec<&str> = tag.as_bytes().chunks(70).map(|chunk| std::str::from_utf8(chunk).unwrap_or_default()).collect();
        Some([format!("DKIM-Signature: {value}{}\r\n", tag.join("\r\n\t ")).as_bytes(), message].concat())
    }

    fn tag(&self, text: &str) -> Option<Vec<u8>> {
        match &self.key {
            Key::Rsa(key) => {
                let mut tag = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut tag).ok()?;
                Some(tag)
            }
            // RFC 8463: PureEdDSA over the SHA-256 of the text.
            Key::Ed25519(key) => Some(key.sign(&crypto::sha256(text.as_bytes())).as_ref().to_vec()),
        }
    }
}

/// Header and body of a message with CRLF lines; the header with its last line end.
fn parts(message: &[u8]) -> Option<(&str, &[u8])> {
    let at = message.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&message[..at + 2]).ok()?, &message[at + 4..]))
}

/// The header fields, folded as they are.
fn fields(head: &str) -> Vec<(&str, String)> {
    let mut out: Vec<(&str, String)> = Vec::new();
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        match (line.starts_with([' ', '\t']), line.split_once(':'), out.last_mut()) {
            (true, _, Some((_, value))) => value.push_str(line),
            (false, Some((name, value)), _) => out.push((name, value.to_owned())),
            _ => {}
        }
    }
    out
}

/// What the signature covers: the named headers from the last one up, then the signature's own without its tag.
fn signed_text(headers: &[(&str, String)], named: &[&str], own: &str) -> String {
    let mut left: Vec<&(&str, String)> = headers.iter().collect();
    let mut text = String::new();
    for name in named {
        if let Some(at) = left.iter().rposition(|(n, _)| n.trim().eq_ignore_ascii_case(name)) {
            let (_, value) = left.remove(at);
            text.push_str(&format!("{name}:{}\r\n", relaxed_value(value)));
        }
    }
    text.push_str(&format!("dkim-signature:{}", relaxed_value(own)));
    text
}

/// One space for any white space, none at the ends.
fn relaxed_value(value: &str) -> String {
    value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// White space within a line becomes one space, at its end none; empty lines at the end of the body are dropped.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut empty = 0;
    for line in body.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut kept = Vec::with_capacity(line.len());
        for byte in line {
            let blank = matches!(byte, b' ' | b'\t');
            if !(blank && kept.last() == Some(&b' ')) {
                kept.push(if blank { b' ' } else { *byte });
            }
        }
        if kept.last() == Some(&b' ') {
            kept.pop();
        }
        if kept.is_empty() {
            empty += 1;
            continue;
        }
        out.extend(b"\r\n".repeat(std::mem::take(&mut empty)));
        out.extend(kept);
        out.extend(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::kit::sample;

    const DINNER: &str = "From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n\
        Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
        Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

    #[test]
    fn the_vector_of_rfc_8463() {
        let (head, body) = parts(DINNER.as_bytes()).expect("a message");
        assert_eq!(crypto::base64(&crypto::sha256(&relaxed_body(body))), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
        let own = " v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n \
            q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n \
            bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=";
        let text = signed_text(&fields(head), &["from", "to", "subject", "date", "message-id", "from", "subject", "date"], own);
        let tag = BASE64_STANDARD
            .decode("/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==")
            .expect("base64");
        let public = BASE64_STANDARD.decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").expect("base64");
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(&crypto::sha256(text.as_bytes()), &tag).is_ok());
    }

    #[test]
    fn what_it_signs_verifies() {
        let signer = Signer::new("football.example.com", "test", sample::private_key()).expect("a key");
        let signed = signer.sign(DINNER.as_bytes(), 1_528_637_909).expect("signed");
        assert_eq!(signed, signer.sign(DINNER.as_bytes(), 1_528_637_909).expect("signed again"));
        let (head, _) = parts(&signed).expect("a message");
        let headers = fields(head);
        let own = headers[0].1.clone();
        let (unsigned, tag) = own.rsplit_once("\tb=").expect("a tag");
        let text = signed_text(&headers[1..], &["from", "to", "subject", "date", "message-id"], &format!("{unsigned}\tb="));
        let tag = BASE64_STANDARD.decode(tag.replace([' ', '\t'], "")).expect("base64");
        let Key::Rsa(key) = &signer.key else { panic!("an RSA key") };
        assert!(UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).verify(text.as_bytes(), &tag).is_ok());
        assert!(Signer::new("a.example", "s", "nonsense").is_none());
    }
}
