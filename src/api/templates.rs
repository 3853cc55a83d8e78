//! `/v1/templates`: what is said, per locale and channel; and the lint over a real audience.

use axum::Json;
use axum::extract::State as Extract;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::page::Page;
use super::problem::{self, Problem};
use crate::proactive::Failed;
use crate::proactive::lint::Lint;
use crate::proactive::templates::{Source, Template};

impl From<Failed> for Problem {
    fn from(e: Failed) -> Self {
        match e {
            Failed::Wrong(wrong) => {
                let kind = if wrong.code == "not_supported" { &problem::NOT_SUPPORTED } else { &problem::INVALID };
                Self::new(kind, wrong.detail).at(wrong.pointer, wrong.code)
            }
            Failed::Unknown(detail) => Self::new(&problem::NOT_FOUND, detail),
            Failed::Conflict(detail) => Self::new(&problem::CONFLICT, detail),
            Failed::Store(e) => e.into(),
        }
    }
}

/// A template as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ShownTemplate {
    /// Counts its changes.
    version: i64,
    /// The template.
    #[serde(flatten)]
    template: Template,
}

/// Lists templates, by name.
#[utoipa::path(get, path = "/v1/templates", operation_id = "listTemplates", tag = "templates",
    responses((status = 200, body = Page<ShownTemplate>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<ShownTemplate>>, Problem> {
    caller.may("campaigns:write")?;
    let all = api.proactive.templates().await?;
    Ok(Json(Page::whole(all.into_iter().map(|(template, version)| ShownTemplate { version, template }).collect())))
}

/// Adds a template, or puts another in its place. Running campaigns take it up when they are edited.
#[utoipa::path(post, path = "/v1/templates", operation_id = "putTemplate", tag = "templates", request_body = Template,
    responses((status = 201, body = ShownTemplate), (status = 422, body = Problem)))]
pub async fn put(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(template): Body<Template>,
) -> Result<(StatusCode, Json<ShownTemplate>), Problem> {
    caller.may("campaigns:write")?;
    let version = api.proactive.put_template(&template).await?;
    Ok((StatusCode::CREATED, Json(ShownTemplate { version, template })))
}

/// Shows a template.
#[utoipa::path(get, path = "/v1/templates/{name}", operation_id = "showTemplate", tag = "templates", params(("name" = String, Path)),
    responses((status = 200, body = ShownTemplate), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<ShownTemplate>, Problem> {
    caller.may("campaigns:write")?;
    let (template, version) = api.proactive.template(&name).await?;
    Ok(Json(ShownTemplate { version, template }))
}

/// Removes a template. What was launched with it keeps its words.
#[utoipa::path(delete, path = "/v1/templates/{name}", operation_id = "removeTemplate", tag = "templates", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    caller.may("campaigns:write")?;
    api.proactive.remove_template(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to lint a template with.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LintRequest {
    /// The audience.
    audience: String,
    /// The channels it is to go through.
    channels: Vec<String>,
    /// Names put into the words, as a campaign's `template.params` does.
    #[serde(default)]
    params: std::collections::BTreeMap<String, String>,
}

/// Renders a template for every person of an audience, and tells whose attributes are missing. Nothing is sent.
#[utoipa::path(post, path = "/v1/templates/{name}/lint", operation_id = "lintTemplate", tag = "templates", params(("name" = String, Path)),
    request_body = LintRequest, responses((status = 200, body = Lint), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn lint(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(wanted): Body<LintRequest>,
) -> Result<Json<Lint>, Problem> {
    caller.may("campaigns:write")?;
    let (template, _) = api.proactive.template(&name).await?;
    let source = Source { template: Some(template), params: wanted.params, ..Source::default() };
    Ok(Json(api.proactive.lint(source, &wanted.audience, &wanted.channels).await?))
}
