//! Who speaks: a token of Google's, whose signer, audience and time all must be right. The body is not signed.

use super::{Channel, Format};
use crate::contract::{Call, Context, VerifyError, Webhook};
use crate::kit::jwt::{self, Token};

/// Chat's own service account.
pub(super) const CHAT: &str = "chat@system.gserviceaccount.com";

/// developers.google.com/workspace/chat/verify-requests-from-chat, read 2026-11-20.
const GOOGLE_KEYS: &str = "/oauth2/v3/certs";
const CHAT_KEYS: &str = "/service_accounts/v1/jwk/chat@system.gserviceaccount.com";
const LEEWAY_MS: i64 = 300_000;

pub(super) fn verify(channel: &Channel, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
    let token = Token::parse(Token::bearer(hook).ok_or(VerifyError::MISSING)?).ok_or(VerifyError::MISMATCH)?;
    let kid = token.head("kid").ok_or(VerifyError::MISMATCH)?;
    if token.head("alg") != Some("RS256") {
        return Err(VerifyError::MISMATCH);
    }
    let own = channel.settings.inbound_format == Format::ClassicProject && token.claim("iss") == Some(CHAT);
    let key = cx.keys.and_then(|keys| jwt::key(keys, kid)).ok_or_else(|| {
        let base = channel.settings.api_base.as_deref().unwrap_or("https://www.googleapis.com").trim_end_matches('/');
        VerifyError::NeedsKeys(Call::get(format!("{base}{}", if own { CHAT_KEYS } else { GOOGLE_KEYS })))
    })?;
    let good = token.rs256(&key) && if own { token.claim("aud") == Some(&channel.settings.audience) } else { identity(channel, &token) };
    match good {
        false => Err(VerifyError::MISMATCH),
        true if !token.is_current(cx.now, LEEWAY_MS) => Err(VerifyError::Stale),
        true => Ok(()),
    }
}

/// Whether it is an identity token of the right account for us: that of Chat, or that of the push subscription.
fn identity(channel: &Channel, token: &Token<'_>) -> bool {
    let settings = &channel.settings;
    let issued = matches!(token.claim("iss"), Some("https://accounts.google.com" | "accounts.google.com"));
    let verified = token.claims.get("email_verified").is_some_and(|v| v == true || v == "true");
    let (aud, email) = (token.claim("aud"), token.claim("email"));
    let chat = settings.inbound_format != Format::ClassicProject && email == Some(&channel.signer) && aud == Some(&settings.audience);
    let pushed = settings.events_service_account.is_some() && email == settings.events_service_account.as_deref();
    let pushed = pushed && aud == Some(settings.events_audience.as_deref().unwrap_or(&settings.audience));
    issued && verified && (chat || pushed)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;
    use crate::contract::{Adapter, Time, twin::Twin as _};

    const N: &str = "2CKMf2npYbHtx48ql9cD0fmuPENV8v-SXOIsBHoK2StCQaSbKNgAXRxsrVGVY8dreH4tp5JBlylshIzdRgo2Zawf4aJW9gaysh9n1JM6m25-UfsVQlwFORqQxyq9LPJWUm_et3_01Ws_YJQZHnbbdF1eCUttESzKYTZgK3peo_udFISLRL2QmX_1CG_5EEaRO0mEhAZVCTMBytDiJqI58oppl2E0Dm9WyHErtm-3q8k9tImT7hIyMmYbDi0ccxHhhndHiJKdlxmBD4w1bu9pu_8YQQoLuRtyZRmbBGzVGxL1cXuDMXiEu3KxvSyDyRBjhyfdvm07g1KQgp3LkEiGqw";
    const ADDON: (&str, &str) = (
        r#"{"aud":"https://gw.example.com/in/gchat/acme","azp":"100000000000000000001","email":"service-123456789012@gcp-sa-gsuiteaddons.iam.gserviceaccount.com","email_verified":true,"exp":1763603600,"iat":1763600000,"iss":"https://accounts.google.com","sub":"100000000000000000001"}"#,
        "zWff7wgs9rNtyqOybjprA2yU3jGy0GR6vpGYn_2SvutWW7xjrA5K3QGzbgcJ0xjThpvylKwN2AhpQMsndOgy0ZoIBwEC7tN1YK9D5ULfT4RklPBZzfQBCub0MORMJkXiFVsGF17Ee6UxmbA0BhBTO8UBihLOIbM5N8awrXustgevB5QotlzGR3PZNhddcmVBDTZ1tKzyMA2wAD9x6g9SiqzNv0eV7uSfyGmJtgmu688xQOpsCVpoNAXjLfPoIG91-ACCB8TWj4Lt_OnYmab1xB78KnVRXAqRCsJPFqQI7PrgoMmVdz-v4FJhhwIZYfne9nV4kaFTO_wX_3n4LKe_VQ",
    );
    const PROJECT: (&str, &str) = (
        r#"{"aud":"123456789012","exp":1763603600,"iat":1763600000,"iss":"chat@system.gserviceaccount.com"}"#,
        "nqj_B0-WtYWO-mPZS8FVv5KrzH2RWQi-vS5qsCQeQUlKAHiIj_xdTQQvohwgVK8eSQmMCMQyuj_Ex8L1lK6HG_WfMf5ynfZjiWlpRgS-VmlBxZhuOVQaeu8i3GB8TNmbIyXGinLDkR8Vj6_pikKmWFPpR6DlWoRHgGmYnPqoN96dwNm7OPDdGon1JNqZII13zh9OPwEb0TlrOgjqYOMbrh3O0DgQyq8acITDVmFdFFmoPrE0JGs4GqsHCoK9VmsIsMgzeKOB0oMnUiyKzyOBCpS8W_SmOSVBfiK-CvVx5vNjqljZ2-8PBiIMBDmh87OUf_b_IOKaWw5vtJD4rUEm4w",
    );

    fn check(more: serde_json::Value, (claims, tag): (&str, &str), keys: bool, now: i64) -> Result<(), &'static str> {
        let mut settings = super::super::Twin::new(1).settings();
        settings.insert("project_number".into(), "123456789012".into());
        settings.extend(more.as_object().cloned().unwrap_or_default());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let token = format!("Bearer {}.{}.{tag}", part(r#"{"alg":"RS256","kid":"test-1","typ":"JWT"}"#), part(claims));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", token.parse().expect("ASCII"));
        let set = json!({ "keys": [{ "kty": "RSA", "kid": "test-1", "alg": "RS256", "e": "AQAB", "n": N }] }).to_string();
        let cx = Context { now: Time::from_secs(now), public_url: "", hook_url: "", login: None, keys: keys.then_some(set.as_bytes()) };
        let hook = Webhook { method: &Method::POST, url: "", query: "", headers: &headers, body: b"{}" };
        channel.verify(hook, &cx).map(|_| ()).map_err(|e| e.label())
    }

    #[test]
    fn the_published_vectors_hold() {
        let url = "https://gw.example.com/in/gchat/acme";
        let addon = json!({ "audience": url });
        let project = json!({ "inbound_format": "classic_project", "audience": "123456789012" });
        for (settings, vector) in [(&addon, ADDON), (&project, PROJECT)] {
            assert_eq!(check(settings.clone(), vector, true, 1_763_600_100), Ok(()));
            assert_eq!(check(settings.clone(), vector, true, 1_763_604_000), Err("stale"));
            assert_eq!(check(settings.clone(), vector, false, 1_763_600_100), Err("no_keys"));
            assert_eq!(
                check(settings.clone(), (&vector.0.replace("1763603600", "1963603600"), vector.1), true, 1_763_600_100),
                Err("mismatch")
            );
        }
        assert_eq!(check(json!({ "audience": &url[..url.len() - 1] }), ADDON, true, 1_763_600_100), Err("mismatch"));
        assert_eq!(check(json!({ "audience": url, "project_number": "1" }), ADDON, true, 1_763_600_100), Err("mismatch"));
        assert_eq!(check(json!({ "audience": url, "inbound_format": "classic_url" }), ADDON, true, 1_763_600_100), Err("mismatch"));
        assert_eq!(
            check(json!({ "inbound_format": "classic_project", "audience": "12345678901" }), PROJECT, true, 1_763_600_100),
            Err("mismatch")
        );
        assert_eq!(check(addon, PROJECT, true, 1_763_600_100), Err("mismatch"));
    }
}
