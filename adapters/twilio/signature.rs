//! `X-Twilio-Signature`: HMAC-SHA1 over the URL as Twilio knows it and the sorted fields of the form.

use http::StatusCode;

use crate::contract::{VerifyError, Webhook};
use crate::kit::{crypto, form};

const MISSING: VerifyError = VerifyError::Missing { status: StatusCode::BAD_REQUEST };
const MISMATCH: VerifyError = VerifyError::Mismatch { status: StatusCode::FORBIDDEN };

/// Checks a delivery. `public` is the URL as it stands in Twilio's console, when it differs from the hook's own.
pub(super) fn verify(keys: &[crypto::Key], public: Option<&str>, hook: &Webhook<'_>) -> Result<(), VerifyError> {
    let tag = hook.header("x-twilio-signature").ok_or(MISSING)?;
    let tag = crypto::unbase64(tag).ok_or(MISMATCH)?;
    let is_form = hook.method == http::Method::POST && hook.is("application/x-www-form-urlencoded");
    let fields = if is_form { sorted(hook.body) } else { String::new() };
    let signed = |url: &str| variants(url).iter().any(|url| crypto::signed(keys, format!("{url}{fields}").as_bytes(), &tag));
    let known = public.map(|public| with_query(public, hook.query));
    if !signed(without_fragment(hook.url)) && !known.is_some_and(|url| signed(&url)) {
        return Err(MISMATCH);
    }
    if is_form || hook.body.is_empty() {
        return Ok(());
    }
    // Only now: the hash stands in the URL, and the URL is proved.
    let claimed = form::query(hook.query, "bodySHA256").ok_or(MISMATCH)?;
    let claimed = crypto::unhex::<32>(&claimed).ok_or(MISMATCH)?;
    if crypto::equal(&claimed, &crypto::sha256(hook.body)) { Ok(()) } else { Err(MISMATCH) }
}

/// The text that is signed after the URL: names in byte order, each with its values; a value that repeats counts once.
pub(super) fn sorted(body: &[u8]) -> String {
    let mut fields = form::fields(body);
    fields.sort();
    fields.dedup();
    let mut out = String::with_capacity(body.len());
    for (name, value) in &fields {
        out.push_str(name);
        out.push_str(value);
    }
    out
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

/// The configured URL with the query this delivery came with.
fn with_query(public: &str, query: &str) -> String {
    let base = public.split(['?', '#']).next().unwrap_or_default();
    if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
}

/// The URL as it is, and with the scheme's own port added or taken away: Twilio does either.
fn variants(url: &str) -> Vec<String> {
    let mut out = vec![url.to_owned()];
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        let Some(rest) = url.strip_prefix(scheme) else { continue };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if let Some(bare) = host.strip_suffix(port) {
            out.push(format!("{scheme}{bare}{path}"));
        } else if !host.contains(':') {
            out.push(format!("{scheme}{host}{port}{path}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::contract::Secrets;

    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

    fn accepts(method: Method, url: &str, kind: &'static str, body: &str, tag: &'static str) -> bool {
        let keys = crypto::sha1_keys(&Secrets::one("fake-auth-token"));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        headers.insert("x-twilio-signature", HeaderValue::from_static(tag));
        let query = url.split_once('?').map_or("", |(_, query)| query);
        verify(&keys, None, &Webhook { method: &method, url, query, headers: &headers, body: body.as_bytes() }).is_ok()
    }

    #[test]
    fn the_vectors_pass() {
        let url = "https://gw.example.org/in/twilio/7?src=sms";
        let body = "AccountSid=ACfake01&ApiVersion=2010-04-01&Body=Hola%2C+%C2%BFest%C3%A1+abierto%3F+5%2B5%3D10+%26+m%C3%A1s&From=%2B14155550123&MessageSid=SMfake0001&NumMedia=0&NumSegments=1&SmsMessageSid=SMfake0001&SmsSid=SMfake0001&SmsStatus=received&To=%2B14155550199";
        assert!(accepts(Method::POST, url, FORM, body, "lbiAnSreAHuxev6SE1qylhpC2WA="));
        assert!(accepts(Method::POST, url, FORM, body, "NAbWbX8UT0XAQnQfklcY3J4EhSU="), "signed with the port");
        assert!(accepts(Method::POST, "https://gw.example.org:443/in/twilio/7?src=sms", FORM, body, "lbiAnSreAHuxev6SE1qylhpC2WA="));
        assert!(!accepts(Method::POST, "https://gw.example.org/in/twilio/7", FORM, body, "lbiAnSreAHuxev6SE1qylhpC2WA="));
        let receipt = "AccountSid=ACfake01&ApiVersion=2010-04-01&ErrorCode=30003&From=%2B14155550199&MessageSid=SMfake0002&MessageStatus=undelivered&SmsSid=SMfake0002&SmsStatus=undelivered&To=%2B14155550123";
        assert!(accepts(Method::POST, "https://gw.example.org/st/twilio/7?ref=m-881", FORM, receipt, "Fm8kwf9YVbB2NqHZg0KYcJCA5ZI="));
        let bare = "https://gw.example.org/in/twilio/7";
        assert!(accepts(Method::POST, bare, FORM, "list=z&a=1&list=b&B=2&list=b&empty=", "lXxCXdU4HcZIw8uWi9gsMJEDZ2c="));
        let get = "https://gw.example.org/in/twilio/7?From=%2B14155550123&Body=hi";
        assert!(accepts(Method::GET, get, "", "", "c5Nmx5mC8nlh4N0UbUJhw8HGOTc="));
    }

    #[test]
    fn a_json_body_is_covered_by_its_hash() {
        let url = "https://gw.example.org/in/twilio/7?bodySHA256=27ebfe91a318dc07829eec267640f3751e9a3cdc12079c47803ad76b3404b82e";
        let tag = "jo/e6BfY1/H/yP0gs6cbKLqtYO4=";
        assert!(accepts(Method::POST, url, "application/json", r#"{"event":"x","n":1}"#, tag));
        assert!(!accepts(Method::POST, url, "application/json", r#"{"event":"x","n":2}"#, tag));
    }
}
