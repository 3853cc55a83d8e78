//! `/v1/contacts`: people with their addresses; import, export, erase.

use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{OriginalUri, State as Extract};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::page::{Page, cursor, page, place};
use super::problem::{self, Problem};
use crate::ids;
use crate::people::import::Format;
use crate::people::jobs::Job;
use crate::people::{Contact, Filter, Line, Put, Refused, export};

/// The largest file of an import.
const LARGEST: u64 = 4 << 30;
/// Contacts read at a time for an export.
const CHUNK: usize = 1000;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(&problem::INVALID, refused.reason).at(format!("#/{}", refused.column), refused.code)
    }
}

fn unknown() -> Problem {
    Problem::new(&problem::NOT_FOUND, "there is no contact with this id")
}

/// A contact with its history.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FullContact {
    /// The contact.
    #[serde(flatten)]
    contact: Contact,
    /// What was learned about it, oldest first.
    history: Vec<Line>,
}

/// Query of a list of contacts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    address: Option<String>,
    country: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Adds a contact, or joins what is said with what is known of it by id or address.
#[utoipa::path(post, path = "/v1/contacts", operation_id = "putContact", tag = "contacts", request_body = Put,
    responses((status = 200, body = Contact), (status = 201, body = Contact), (status = 422, body = Problem)))]
pub async fn create(Extract(api): Extract<Api>, caller: Caller, Body(put): Body<Put>) -> Result<Response, Problem> {
    caller.may("contacts:write")?;
    let change = api.people.put(vec![put]).await?.remove(0)?;
    let contact = api.people.get(&change.id).await?.ok_or_else(unknown)?;
    Ok((if change.created { StatusCode::CREATED } else { StatusCode::OK }, Json(contact)).into_response())
}

/// Changes a contact: what is said wins, what is left out stays, an attribute of `null` goes.
#[utoipa::path(patch, path = "/v1/contacts/{id}", operation_id = "changeContact", tag = "contacts", params(("id" = String, Path)),
    request_body = Put, responses((status = 200, body = Contact), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(mut put): Body<Put>,
) -> Result<Json<Contact>, Problem> {
    caller.may("contacts:write")?;
    let known = api.people.get(&id).await?.ok_or_else(unknown)?;
    if put.id.as_ref().is_some_and(|other| *other != known.id) {
        return Err(Problem::new(&problem::INVALID, "an id stays; merge two contacts to make them one").at("#/id", "id_fixed"));
    }
    put.id = Some(known.id.clone());
    api.people.put(vec![put]).await?.remove(0)?;
    api.people.get(&known.id).await?.map(Json).ok_or_else(unknown)
}

/// One contact, with what was learned about it.
#[utoipa::path(get, path = "/v1/contacts/{id}", operation_id = "showContact", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = FullContact), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<FullContact>, Problem> {
    caller.may("contacts:read")?;
    let contact = api.people.get(&id).await?.ok_or_else(unknown)?;
    let history = api.people.history(&contact.id).await?;
    Ok(Json(FullContact { contact, history }))
}

/// Contacts in the order of their ids, or the one at an address.
#[utoipa::path(get, path = "/v1/contacts", operation_id = "listContacts", tag = "contacts",
    params(("address" = Option<String>, Query), ("country" = Option<String>, Query), ("after" = Option<String>, Query),
        ("limit" = Option<u64>, Query)), responses((status = 200, body = Page<Contact>)))]
pub async fn list(
    Extract(api): Extract<Api>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    if let Some(address) = &query.address {
        return Ok(page(&uri, api.people.by_address(address).await?.into_iter().collect(), None, false));
    }
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let filter = Filter { countries: query.country.into_iter().collect(), ..Filter::default() };
    let after = place(&api.seal, "contacts", query.after.as_deref())?.unwrap_or_default();
    let chunk = api.people.chunk(&filter, &after, limit).await?;
    let next = chunk.next.map(|id| cursor(&api.seal, "contacts", &id));
    let more = next.is_some();
    Ok(page(&uri, chunk.contacts, next, more))
}

/// Whom to make part of this contact.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The other contact's id; it becomes another name for this one.
    from: String,
}

/// Makes two contacts one.
#[utoipa::path(post, path = "/v1/contacts/{id}/merge", operation_id = "mergeContacts", tag = "contacts", params(("id" = String, Path)),
    request_body = Merge, responses((status = 200, body = Contact), (status = 404, body = Problem)))]
pub async fn merge(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(merge): Body<Merge>,
) -> Result<Json<Contact>, Problem> {
    caller.may("contacts:write")?;
    if !api.people.merge(&id, &merge.from).await? {
        return Err(Problem::new(&problem::NOT_FOUND, "both must be contacts, and not the same one"));
    }
    api.people.get(&id).await?.map(Json).ok_or_else(unknown)
}

/// Erases a person: contact, views and evidence of content go; that consent was given or withdrawn stays without the address.
#[utoipa::path(delete, path = "/v1/contacts/{id}", operation_id = "eraseContact", tag = "contacts", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 404, body = Problem)))]
pub async fn erase(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    caller.may("contacts:write")?;
    let contact = api.people.get(&id).await?.ok_or_else(unknown)?;
    let job = ids::text("job_", ids::random());
    let job = api.jobs.begin(&job, "erase", serde_json::json!({ "contact": contact.id }).to_string()).await?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}

/// Imports people from CSV or NDJSON. The answer comes when the file is durable; the job tells the rest.
#[utoipa::path(post, path = "/v1/contacts/import", operation_id = "importContacts", tag = "contacts",
    request_body(content((String = "text/csv"), (String = "application/x-ndjson")), description = "CSV with a header, or NDJSON"),
    responses((status = 202, body = Job), (status = 413, body = Problem), (status = 415, body = Problem)))]
pub async fn import(Extract(api): Extract<Api>, caller: Caller, headers: HeaderMap, body: HttpBody) -> Result<Response, Problem> {
    caller.may("contacts:write")?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let format = match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => Format::Csv,
        "application/x-ndjson" | "application/jsonl" => Format::Ndjson,
        _ => return Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: text/csv` or `application/x-ndjson`")),
    };
    let (id, path) = api.jobs.new_import();
    if let Err(problem) = keep(&path, body).await {
        let _ = tokio::fs::remove_file(&path).await;
        return Err(problem);
    }
    let job = api.jobs.import(&id, format).await?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}

/// Writes a body to a file; durable when it answers.
async fn keep(path: &std::path::Path, body: HttpBody) -> Result<(), Problem> {
    let broken = |e: std::io::Error| Problem::new(&problem::UNAVAILABLE, format!("the file cannot be kept now: {e}"));
    let mut file = tokio::fs::File::create(path).await.map_err(broken)?;
    let (mut stream, mut size) = (body.into_data_stream(), 0_u64);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(&problem::MALFORMED, "the body broke off; nothing was imported"))?;
        size += chunk.len() as u64;
        if size > LARGEST {
            return Err(Problem::new(&problem::TOO_LARGE, "a file has at most 4 GiB; cut it"));
        }
        file.write_all(&chunk).await.map_err(broken)?;
    }
    file.flush().await.map_err(broken)?;
    file.sync_all().await.map_err(broken)
}

/// Query of an export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    format: Option<Format>,
}

/// Every contact as NDJSON or CSV, streamed in the order of ids.
#[utoipa::path(get, path = "/v1/contacts/export", operation_id = "exportContacts", tag = "contacts",
    params(("format" = Option<Format>, Query, description = "`ndjson` unless said otherwise")),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
pub async fn export_all(Extract(api): Extract<Api>, caller: Caller, Query(query): Query<ExportQuery>) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    let format = query.format.unwrap_or(Format::Ndjson);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    tokio::spawn(async move {
        let (filter, mut after) = (Filter::default(), String::new());
        let mut text = if format == Format::Csv { export::HEADER.as_bytes().to_vec() } else { Vec::new() };
        loop {
            let chunk = match api.people.chunk(&filter, &after, CHUNK).await {
                Ok(chunk) => chunk,
                // Broken off, the answer shows that it is not whole.
                Err(e) => return drop(sender.send(Err(std::io::Error::other(e.to_string()))).await),
            };
            for contact in &chunk.contacts {
                match format {
                    Format::Csv => export::csv(contact, &mut text),
                    Format::Ndjson => export::ndjson(contact, &mut text),
                }
            }
            if sender.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
                return;
            }
            let Some(next) = chunk.next else { return };
            after = next;
        }
    });
    let kind = if format == Format::Csv { "text/csv; charset=utf-8" } else { "application/x-ndjson" };
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Ok(([(header::CONTENT_TYPE, kind)], HttpBody::from_stream(stream)).into_response())
}
