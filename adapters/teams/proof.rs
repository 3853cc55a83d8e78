//! Who speaks: a token of the connector's. It does not sign the body, so its service address must be the body's.

use serde::Deserialize as _;

use super::Channel;
use crate::contract::{Call, Context, VerifyError, Webhook};
use crate::kit::jwt::{self, Token};
use crate::kit::object::Object;

/// learn.microsoft.com, Bot Connector authentication, read 2026-11-20.
const LEEWAY_MS: i64 = 300_000;

/// The only channel whose activities are taken.
const TEAMS: &str = "msteams";

pub(super) fn verify(channel: &Channel, hook: &Webhook<'_>, cx: &Context<'_>) -> Result<(), VerifyError> {
    let settings = &channel.settings;
    let token = Token::parse(Token::bearer(hook).ok_or(VerifyError::MISSING)?).ok_or(VerifyError::MISMATCH)?;
    let kid = token.head("kid").ok_or(VerifyError::MISMATCH)?;
    if token.head("alg") != Some("RS256") {
        return Err(VerifyError::MISMATCH);
    }
    let [_, _, _, keys, issuer, _] = settings.cloud.places();
    let key = cx.keys.and_then(|set| jwt::key(set, kid)).ok_or_else(|| {
        let base = settings.api_base.as_deref().unwrap_or(keys).trim_end_matches('/');
        VerifyError::NeedsKeys(Call::get(format!("{base}/v1/.well-known/keys")))
    })?;
    let app = &settings.app_id;
    let audience = token.claim("aud").unwrap_or_default();
    let ours = [app.clone(), format!("api://{app}"), format!("api://botid-{app}")].iter().any(|a| a == audience);
    if !token.rs256(&key) || token.claim("iss") != Some(issuer) || !ours {
        return Err(VerifyError::MISMATCH);
    }
    if !token.is_current(cx.now, LEEWAY_MS) {
        return Err(VerifyError::Stale);
    }
    if bound(channel, &token, &key, hook) { Ok(()) } else { Err(VerifyError::MISMATCH) }
}

/// Whether the body is one this token and this key may bring.
fn bound(channel: &Channel, token: &Token<'_>, key: &jwt::Jwk, hook: &Webhook<'_>) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(hook.body);
    let Ok(body) = Object::deserialize(&mut reader) else { return false };
    let trimmed = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    let claimed = token.claim("serviceurl").or_else(|| token.claim("serviceUrl")).map(trimmed);
    let place = body.words("channelId").unwrap_or_default();
    let endorsed =
        key.more.get("endorsements").and_then(|e| e.as_array()).is_some_and(|list| list.iter().any(|e| e.as_str() == Some(&place)));
    let tenant =
        body.object("channelData").and_then(|d| d.object("tenant")?.words("id")).or_else(|| body.object("conversation")?.words("tenantId"));
    let allowed = &channel.settings.allowed_tenants;
    let welcome = allowed.is_empty() || tenant.is_some_and(|tenant| allowed.iter().any(|id| *id == tenant));
    claimed.is_some() && claimed == body.text("serviceUrl").map(|url| trimmed(&url)) && place == TEAMS && endorsed && welcome
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;
    use crate::contract::{Adapter, Time, twin::Twin as _};

    const N: &str = "2CKMf2npYbHtx48ql9cD0fmuPENV8v-SXOIsBHoK2StCQaSbKNgAXRxsrVGVY8dreH4tp5JBlylshIzdRgo2Zawf4aJW9gaysh9n1JM6m25-UfsVQlwFORqQxyq9LPJWUm_et3_01Ws_YJQZHnbbdF1eCUttESzKYTZgK3peo_udFISLRL2QmX_1CG_5EEaRO0mEhAZVCTMBytDiJqI58oppl2E0Dm9WyHErtm-3q8k9tImT7hIyMmYbDi0ccxHhhndHiJKdlxmBD4w1bu9pu_8YQQoLuRtyZRmbBGzVGxL1cXuDMXiEu3KxvSyDyRBjhyfdvm07g1KQgp3LkEiGqw";
    const CLAIMS: &str = r#"{"serviceurl":"https://smba.trafficmanager.net/emea/11111111-2222-3333-4444-555555555555/","nbf":1763600000,"exp":1763603600,"iss":"https://api.botframework.com","aud":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}"#;
    const TAG: &str = "jf64xtEeMk0DyTUsCHjbqwqHfHQoHooGx2Nv5s0qL6MhU6E3zboyJrI5d1K5o7yat5DfeHRQLoLUc3ZdgH5aHvg0I0cnTu0B_EpVKiYxbMZaSKJAlx_vnHMdh4bTpQ0V46wa0QE1-WZqHb91yBwM29RojawzikqhydMCwUsivbUuYzfLR2juSu8sM-XSs3JYM3yXo08MeQGwhHNv3-_C77_iAHFQxQ5s0T67THeIXjlGTgD9kq1iYRUGJ5VNK3tb1uA-RLbgfSJMdRZzJesfxmjnJnOYR1-QNXfifUecYZjMTabVJQsiCdrY6eFRk7OpHYFnwLMXbK0e8SS7DNbGBw";

    struct Case {
        app: &'static str,
        body: serde_json::Value,
        endorsed: &'static str,
        allowed: &'static [&'static str],
        now: i64,
    }

    fn check(case: &Case, keys: bool) -> Result<(), &'static str> {
        let mut settings = super::super::Twin::new(1).settings();
        settings.insert("app_id".into(), case.app.into());
        settings.insert("allowed_tenants".into(), json!(case.allowed));
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let mut headers = HeaderMap::new();
        let token = format!("Bearer {}.{}.{TAG}", part(r#"{"alg":"RS256","kid":"test-1","typ":"JWT"}"#), part(CLAIMS));
        headers.insert("authorization", token.parse().expect("ASCII"));
        let set =
            json!({ "keys": [{ "kty": "RSA", "kid": "test-1", "use": "sig", "e": "AQAB", "endorsements": [case.endorsed], "n": N }] })
                .to_string();
        let body = case.body.to_string();
        let hook = Webhook { method: &Method::POST, url: "", query: "", headers: &headers, body: body.as_bytes() };
        let cx =
            Context { now: Time::from_secs(case.now), public_url: "", hook_url: "", login: None, keys: keys.then_some(set.as_bytes()) };
        channel.verify(hook, &cx).map(|_| ()).map_err(|e| e.label())
    }

    #[test]
    fn the_published_vector_holds() {
        let app = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
        let url = "https://smba.trafficmanager.net/emea/11111111-2222-3333-4444-555555555555";
        let body = |url: &str, place: &str| json!({ "serviceUrl": url, "channelId": place, "channelData": { "tenant": { "id": "t1" } } });
        let good = || Case { app, body: body(url, "msteams"), endorsed: "msteams", allowed: &[], now: 1_763_600_100 };
        assert_eq!(check(&good(), true), Ok(()));
        assert_eq!(check(&Case { body: body(&format!("{url}/"), "msteams"), ..good() }, true), Ok(()));
        assert_eq!(check(&good(), false), Err("no_keys"));
        assert_eq!(check(&Case { now: 1_763_604_000, ..good() }, true), Err("stale"));
        assert_eq!(check(&Case { app: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeef", ..good() }, true), Err("mismatch"));
        assert_eq!(check(&Case { body: body("https://evil.example/", "msteams"), ..good() }, true), Err("mismatch"));
        assert_eq!(check(&Case { body: body(url, "emulator"), endorsed: "emulator", ..good() }, true), Err("mismatch"));
        assert_eq!(check(&Case { endorsed: "webchat", ..good() }, true), Err("mismatch"));
        assert_eq!(check(&Case { allowed: &["t2"], ..good() }, true), Err("mismatch"));
        assert_eq!(check(&Case { allowed: &["t2", "t1"], ..good() }, true), Ok(()));
    }
}
