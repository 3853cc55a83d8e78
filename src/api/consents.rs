//! `/v1/consents` and `/v1/suppressions`: what people said about being written to, with the proof; who is not written to.

use axum::Json;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::Response;
use fairway_adapters::contract::Time;
use fairway_adapters::contract::event::ConsentState;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query, parse};
use super::page::{Page, cursor, page, place};
use super::problem::{self, Problem};
use crate::consent::{Known, Review, Suppression, Word, pattern};
use crate::people::address;
use crate::{clock, envelope, ids};

/// A word to record.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWord {
    /// Whose: an address; this or `contact`.
    address: Option<String>,
    /// Whose: every address of this contact.
    contact: Option<String>,
    /// For which channel; every channel that reaches the address when it is left out.
    channel: Option<String>,
    /// `all`, `marketing`, or a program's name; `marketing` when it is left out.
    scope: Option<String>,
    /// `opted_in` or `opted_out`.
    #[schema(value_type = String, format = "consent-state")]
    state: ConsentState,
    /// When it was said; now when it is left out.
    #[schema(value_type = Option<String>, format = "date-time")]
    at: Option<Time>,
    /// How, in which wording, from where: kept as it is, and exported as the proof. An opt-in needs it.
    #[serde(default)]
    #[schema(value_type = Object)]
    evidence: serde_json::Map<String, serde_json::Value>,
}

/// Several words to record.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWords {
    /// Up to 1,000.
    consents: Vec<NewWord>,
}

/// One word, or several.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = RecordConsent)]
pub enum Record {
    /// Several.
    Several(NewWords),
    /// One.
    One(NewWord),
}

/// What holds for a person, and every word that led to it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Proof {
    /// What holds.
    consents: Vec<Known>,
    /// Every word with its evidence, oldest first.
    words: Vec<Word>,
    /// Suppressions of the addresses themselves.
    suppressions: Vec<Suppression>,
}

/// Query for one person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhoQuery {
    address: Option<String>,
    contact: Option<String>,
}

async fn addresses(api: &Api, address: Option<&str>, contact: Option<&str>, at: &str) -> Result<Vec<String>, Problem> {
    match (address, contact) {
        (Some(address), None) => {
            let address = address::normal(address).into_owned();
            match address::problem(&address) {
                None => Ok(vec![address]),
                Some(problem) => Err(Problem::new(&problem::INVALID, problem).at(format!("{at}/address"), "address_invalid")),
            }
        }
        (None, Some(id)) => match api.people.get(id).await? {
            Some(contact) => Ok(contact.addresses.into_iter().map(|a| a.address).collect()),
            None => Err(Problem::new(&problem::NOT_FOUND, "there is no contact with this id")),
        },
        _ => Err(Problem::new(&problem::INVALID, "say whose: `address` or `contact`").at(format!("{at}/address"), "missing")),
    }
}

/// What a person said, with the proof: everything that led to what holds.
#[utoipa::path(get, path = "/v1/consents", operation_id = "showConsents", tag = "consent",
    params(("address" = Option<String>, Query), ("contact" = Option<String>, Query)),
    responses((status = 200, body = Proof), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Query(who): Query<WhoQuery>) -> Result<Json<Proof>, Problem> {
    caller.may("contacts:read")?;
    let addresses = addresses(&api, who.address.as_deref(), who.contact.as_deref(), "#").await?;
    let mut suppressions = Vec::new();
    for address in &addresses {
        suppressions.extend(api.consent.list_suppressions(Some(address), "", 500).await?);
    }
    let (consents, words) = (api.consent.known(&addresses).await?, api.consent.words(&addresses).await?);
    Ok(Json(Proof { consents, words, suppressions }))
}

/// Records what people said, with the evidence: one word, or several as `consents`.
#[utoipa::path(post, path = "/v1/consents", operation_id = "recordConsent", tag = "consent", request_body = Record,
    responses((status = 201, body = Vec<Word>), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn record(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(new): Body<serde_json::Value>,
) -> Result<(StatusCode, Json<Vec<Word>>), Problem> {
    caller.may("contacts:write")?;
    // Told apart here, so that what is wrong is named by its place.
    let several = new.get("consents").is_some();
    let new = match if several { Record::Several(parse(new)?) } else { Record::One(parse(new)?) } {
        Record::Several(new) => new.consents,
        Record::One(new) => vec![new],
    };
    if new.is_empty() || new.len() > 1000 {
        return Err(Problem::new(&problem::INVALID, "1 to 1,000 consents at a time").at("#/consents", "too_many"));
    }
    let mut words = Vec::new();
    for (number, new) in new.iter().enumerate() {
        let at = if several { format!("#/consents/{number}") } else { "#".to_owned() };
        words.extend(read(&api, &caller, new, &at).await?);
    }
    api.consent.record(&words).await?;
    Ok((StatusCode::CREATED, Json(words)))
}

async fn read(api: &Api, caller: &Caller, new: &NewWord, at: &str) -> Result<Vec<Word>, Problem> {
    let now = clock::now();
    let invalid = |field: &str, code: &str, why: &str| Problem::new(&problem::INVALID, why).at(format!("{at}/{field}"), code);
    let addresses = addresses(api, new.address.as_deref(), new.contact.as_deref(), at).await?;
    let scope = new.scope.clone().unwrap_or_else(|| "marketing".into());
    if scope.is_empty() || scope.len() > 64 {
        return Err(invalid("scope", "scope_invalid", "a scope is `all`, `marketing`, or a program's name of at most 64 characters"));
    }
    if new.state == ConsentState::OptedIn && new.evidence.is_empty() {
        return Err(invalid("evidence", "evidence_missing", "an opt-in needs its evidence: how, in which wording, from where"));
    }
    if new.at.is_some_and(|at| at > now.plus(60_000)) {
        return Err(invalid("at", "in_the_future", "it lies in the future"));
    }
    if let Some(channel) = &new.channel {
        let named = super::channels::named(api, caller, channel)?;
        if !addresses.iter().any(|a| named.reaches(a)) {
            return Err(invalid("channel", "channel_mismatch", "this channel does not reach the address"));
        }
    }
    let mut evidence = new.evidence.clone();
    evidence.entry("recorded_by").or_insert_with(|| caller.id.as_str().into());
    let evidence = serde_json::Value::Object(evidence);
    let said = new.at.unwrap_or(now);
    let channel = new.channel.clone().unwrap_or_default();
    let word = |address: String| {
        let parts: [&[u8]; 7] = [
            b"consent-api",
            address.as_bytes(),
            channel.as_bytes(),
            scope.as_bytes(),
            if new.state == ConsentState::OptedIn { b"in" } else { b"out" },
            &said.0.to_le_bytes(),
            &[],
        ];
        Word {
            event: envelope::id_text(ids::fingerprint(&parts)),
            address,
            channel: channel.clone(),
            scope: scope.clone(),
            state: new.state,
            at: said,
            how: "api".into(),
            evidence: evidence.clone(),
        }
    };
    Ok(addresses.into_iter().map(word).collect())
}

/// Query of what is to be looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// Messages that probably opt out, newest first: somebody should look, and record a consent where it is one.
#[utoipa::path(get, path = "/v1/consents/review", operation_id = "listReviews", tag = "consent",
    params(("after" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = Page<Review>), (status = 400, body = Problem)))]
pub async fn review(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ReviewQuery>,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    let before = match query.after.as_deref() {
        None => Time(i64::MAX),
        Some(text) => Time::parse(text).ok_or_else(|| Problem::new(&problem::CURSOR, "`after` is the `next` of another page"))?,
    };
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let data = api.consent.reviews(before, limit).await?;
    let next = data.last().filter(|_| data.len() == limit).map(|r| r.at.to_string());
    let more = next.is_some();
    Ok(page(&uri, data, next, more))
}

/// A suppression to add.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSuppression {
    /// An address (`tel:+15550100200`), a domain (`@example.org`) or a prefix (`tel:+49*`).
    pattern: String,
    /// On which channel; every one when it is left out.
    channel: Option<String>,
    /// One word of your own: `manual` when it is left out, `complaint`, ...
    reason: Option<String>,
    /// Why, for whoever asks later.
    note: Option<String>,
}

/// Query of a list of suppressions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    pattern: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Who is not written to.
#[utoipa::path(get, path = "/v1/suppressions", operation_id = "listSuppressions", tag = "consent",
    params(("pattern" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = Page<Suppression>)))]
pub async fn list(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let asked = query.pattern.as_deref().map(pattern).transpose().map_err(|e| Problem::new(&problem::INVALID, e))?;
    let after = place(&api.seal, "suppressions", query.after.as_deref())?.unwrap_or_default();
    let mut data = api.consent.list_suppressions(asked.as_deref(), &after, limit + 1).await?;
    let more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| more).map(|s| cursor(&api.seal, "suppressions", &s.id));
    Ok(page(&uri, data, next, more))
}

/// Writes to an address, a domain or a prefix no more, whatever the category.
#[utoipa::path(post, path = "/v1/suppressions", operation_id = "suppress", tag = "consent", request_body = NewSuppression,
    responses((status = 201, body = Suppression), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn suppress(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(new): Body<NewSuppression>,
) -> Result<(StatusCode, Json<Suppression>), Problem> {
    caller.may("contacts:write")?;
    let pattern = pattern(&new.pattern).map_err(|e| Problem::new(&problem::INVALID, e).at("#/pattern", "pattern_invalid"))?;
    if let Some(channel) = &new.channel {
        super::channels::named(&api, &caller, channel)?;
    } else if !caller.channels().is_empty() {
        return Err(Problem::new(&problem::FORBIDDEN, "this key is for some channels only: say which").at("#/channel", "missing"));
    }
    let reason = new.reason.as_deref().unwrap_or("manual");
    if reason.is_empty() || reason.len() > 32 || !reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Err(Problem::new(&problem::INVALID, "a reason is one word of a-z and _").at("#/reason", "reason_invalid"));
    }
    let suppression =
        Suppression { note: new.note, ..Suppression::new(pattern, new.channel.as_deref().unwrap_or_default(), reason, clock::now()) };
    api.consent.suppress(std::slice::from_ref(&suppression)).await?;
    Ok((StatusCode::CREATED, Json(suppression)))
}

/// Writes to them again. What people themselves said stays.
#[utoipa::path(delete, path = "/v1/suppressions/{id}", operation_id = "unsuppress", tag = "consent", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn unsuppress(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    caller.may("contacts:write")?;
    match api.consent.unsuppress(&id).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(&problem::NOT_FOUND, "there is no suppression with this id")),
    }
}
