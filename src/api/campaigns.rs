//! `/v1/campaigns`: plans, their acts, their books.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::page::{Page, cursor, page, place};
use super::problem::{self, Problem};
use crate::proactive::campaigns::forecast::Forecast;
use crate::proactive::campaigns::report::{Recipient, Report};
use crate::proactive::campaigns::{Campaign, Plan};

/// Leads whoever opens a short link to where it leads. Not part of `/v1`: people come here.
pub async fn follow_link(Extract(api): Extract<Api>, Path(code): Path<String>) -> Result<Response, Problem> {
    let url = api.proactive.follow_link(&code, &api.writer).await?;
    let to = HeaderValue::from_str(&url).map_err(|_| Problem::new(&problem::NOT_FOUND, "this link leads nowhere"))?;
    let headers = [
        (header::LOCATION, to),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// Recipients of an export read at a time.
const CHUNK: usize = 2000;

/// Who asks may use every channel of a plan.
fn may_use(caller: &Caller, plan: &Plan) -> Result<(), Problem> {
    caller.may("campaigns:write")?;
    plan.channels.iter().try_for_each(|channel| caller.may_use(channel))
}

/// A campaign the caller may see.
pub async fn found(api: &Api, caller: &Caller, id: &str) -> Result<Campaign, Problem> {
    let campaign = api.proactive.campaign(id).await?;
    may_use(caller, &campaign.plan)?;
    Ok(campaign)
}

/// Lists campaigns, the newest first.
#[utoipa::path(get, path = "/v1/campaigns", operation_id = "listCampaigns", tag = "campaigns",
    responses((status = 200, body = Page<Campaign>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Campaign>>, Problem> {
    caller.may("campaigns:write")?;
    let mut all = api.proactive.campaigns().await?;
    all.retain(|c| may_use(&caller, &c.plan).is_ok());
    Ok(Json(Page::whole(all)))
}

/// Makes a draft. Nothing is sent before it is launched.
#[utoipa::path(post, path = "/v1/campaigns", operation_id = "createCampaign", tag = "campaigns", request_body = Plan,
    responses((status = 201, body = Campaign), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn create(Extract(api): Extract<Api>, caller: Caller, Body(plan): Body<Plan>) -> Result<(StatusCode, Json<Campaign>), Problem> {
    may_use(&caller, &plan)?;
    Ok((StatusCode::CREATED, Json(api.proactive.create_campaign(plan).await?)))
}

/// Shows a campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}", operation_id = "showCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Campaign>, Problem> {
    Ok(Json(found(&api, &caller, &id).await?))
}

/// Edits a draft wholly, a held campaign in its words, rate, budget and goals. What waits in a lane leaves in the new words.
#[utoipa::path(put, path = "/v1/campaigns/{id}", operation_id = "editCampaign", tag = "campaigns", params(("id" = String, Path)),
    request_body = Plan, responses((status = 200, body = Campaign), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn edit(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(plan): Body<Plan>,
) -> Result<Json<Campaign>, Problem> {
    found(&api, &caller, &id).await?;
    may_use(&caller, &plan)?;
    Ok(Json(api.proactive.edit_campaign(&id, plan).await?))
}

/// Removes a draft.
#[utoipa::path(delete, path = "/v1/campaigns/{id}", operation_id = "removeCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    found(&api, &caller, &id).await?;
    api.proactive.remove_campaign(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Plays the plan against the limits in force, without sending.
#[utoipa::path(post, path = "/v1/campaigns/{id}/forecast", operation_id = "forecastCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Forecast), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn forecast(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Forecast>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.forecast(&id).await?))
}

/// Whom to send a test to.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRequest {
    /// At most 20 addresses.
    to: Vec<String>,
    /// Which variant's words; the first one's when absent.
    variant: Option<String>,
}

/// The messages of a test.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CampaignTest)]
pub struct Tested {
    /// Their ids, in the order of the addresses.
    messages: Vec<String>,
}

/// Sends a campaign's words to some addresses, outside of its books.
#[utoipa::path(post, path = "/v1/campaigns/{id}/test", operation_id = "testCampaign", tag = "campaigns", params(("id" = String, Path)),
    request_body = TestRequest, responses((status = 202, body = Tested), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn test(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(wanted): Body<TestRequest>,
) -> Result<(StatusCode, Json<Tested>), Problem> {
    found(&api, &caller, &id).await?;
    if wanted.to.is_empty() || wanted.to.len() > 20 {
        return Err(Problem::new(&problem::INVALID, "a test goes to 1 to 20 addresses").at("#/to", "length_invalid"));
    }
    let messages = api.proactive.test_campaign(&id, &wanted.to, wanted.variant.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(Tested { messages })))
}

/// Launches a draft: its audience is frozen, its words and variants are fixed, and it goes when its time comes.
#[utoipa::path(post, path = "/v1/campaigns/{id}/launch", operation_id = "launchCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn launch(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Campaign>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.launch_campaign(&id).await?))
}

/// Holds a campaign; nothing of it leaves any more within a second, and nobody is lost.
#[utoipa::path(post, path = "/v1/campaigns/{id}/pause", operation_id = "pauseCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn pause(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Campaign>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.pause_campaign(&id).await?))
}

/// Lets a held campaign go on; one that its canary stopped goes to everybody.
#[utoipa::path(post, path = "/v1/campaigns/{id}/resume", operation_id = "resumeCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn resume(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Campaign>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.resume_campaign(&id).await?))
}

/// Ends a campaign: whoever has not got it does not get it.
#[utoipa::path(post, path = "/v1/campaigns/{id}/cancel", operation_id = "cancelCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Campaign), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn cancel(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Campaign>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.cancel_campaign(&id).await?))
}

/// Adds up what became of everybody.
#[utoipa::path(get, path = "/v1/campaigns/{id}/report", operation_id = "reportCampaign", tag = "campaigns", params(("id" = String, Path)),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub async fn report(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Report>, Problem> {
    found(&api, &caller, &id).await?;
    Ok(Json(api.proactive.campaign_report(&id).await?))
}

/// Which recipients.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RecipientsQuery {
    /// In this state, or several, separated by commas.
    state: Option<String>,
    /// Behind this cursor.
    after: Option<String>,
    /// At most; 100 when absent, 1000 at most.
    limit: Option<usize>,
}

/// Lists a campaign's people with what became of each and why; with `Accept: text/csv` all of them as a file.
#[utoipa::path(get, path = "/v1/campaigns/{id}/recipients", operation_id = "listRecipients", tag = "campaigns",
    params(("id" = String, Path), RecipientsQuery),
    responses((status = 200, content((Page<Recipient> = "application/json"), (String = "text/csv"))), (status = 404, body = Problem)))]
pub async fn recipients(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<RecipientsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    found(&api, &caller, &id).await?;
    let states: Vec<String> =
        query.state.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let csv = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.starts_with("text/csv"));
    if csv {
        return Ok(export(api, id, states));
    }
    let list = format!("recipients {id}");
    let behind = place(&api.seal, &list, query.after.as_deref())?.and_then(|number| number.parse().ok()).unwrap_or(0);
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    let mut data = api.proactive.recipients(&id, &states, behind, limit + 1).await?;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| has_more).map(|r| cursor(&api.seal, &list, &r.number.to_string()));
    Ok(page(&uri, data, next, has_more))
}

/// All of them as CSV, read and sent chunk by chunk.
fn export(api: Api, id: String, states: Vec<String>) -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(2);
    tokio::spawn(async move {
        let head = "number,address,variant,state,channel,message_id,reason,due,sent_at,opted_out,goal\n";
        let mut behind = 0;
        let mut out = head.as_bytes().to_vec();
        loop {
            let rows = match api.proactive.recipients(&id, &states, behind, CHUNK).await {
                Ok(rows) => rows,
                // The connection breaks off, so that nobody takes the half for the whole.
                Err(e) => return drop(sender.send(Err(std::io::Error::other(format!("{e:?}")))).await),
            };
            behind = rows.last().map_or(behind, |r| r.number);
            let whole = rows.len() < CHUNK;
            out.extend(rows.iter().flat_map(csv_row));
            if sender.send(Ok(std::mem::take(&mut out).into())).await.is_err() || whole {
                return;
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], HttpBody::from_stream(stream)).into_response()
}

fn csv_row(r: &Recipient) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let text = |v: &Option<String>| v.clone().unwrap_or_default();
    let sent_at = r.sent_at.map(|t| t.to_string()).unwrap_or_default();
    let row = [
        r.number.to_string(),
        r.address.clone(),
        text(&r.variant),
        r.state.clone(),
        text(&r.channel),
        text(&r.message_id),
        text(&r.reason),
        r.due.to_string(),
        sent_at,
        r.opted_out.to_string(),
        text(&r.goal),
    ];
    // Writing into memory fails for nothing but a row of another length.
    let _ = writer.write_record(&row);
    writer.into_inner().unwrap_or_default()
}
