//! Approved templates: the parameters of a request as components.
//!
//! `body.1` or `body.NAME` (or a bare name), `header` (words or a file's URL; `header.image`, `.video`, `.document` say
//! which), `button.0` with the kind behind it where it is not a link: `button.0.quick_reply`, `.copy_code`, `.flow`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::media::{self, Kind};
use super::outbound::kind_of;
use crate::contract::*;

const HEADER: usize = 60;
const CODE: usize = 15;

/// The `template` of a request.
pub(super) fn body(template: &Template, category: Category) -> Result<Value, RenderError> {
    if template.name.is_empty() {
        return Err(RenderError::new("#/template/name", "template_invalid", "a template has a name"));
    }
    let mut header = None;
    let mut positions: BTreeMap<u32, &str> = BTreeMap::new();
    let mut names: Vec<(&str, &str)> = Vec::new();
    let mut buttons: BTreeMap<u32, Value> = BTreeMap::new();
    for (key, value) in &template.params {
        let (place, rest) = key.split_once('.').map_or((key.as_str(), None), |(place, rest)| (place, Some(rest)));
        match (place, rest) {
            ("header", kind) => header = Some(head(key, kind, value)?),
            ("button", Some(rest)) => {
                let (number, kind) = rest.split_once('.').map_or((rest, None), |(number, kind)| (number, Some(kind)));
                let Ok(number) = number.parse::<u32>() else {
                    return Err(wrong(key, "a button is `button.0` to `button.9`"));
                };
                buttons.insert(number, button(key, number, kind, value)?);
            }
            ("body", Some(rest)) => match rest.parse() {
                Ok(number) => drop(positions.insert(number, value)),
                Err(_) => names.push((rest, value)),
            },
            (bare, None) => match bare.parse() {
                Ok(number) => drop(positions.insert(number, value)),
                Err(_) => names.push((bare, value)),
            },
            _ => return Err(wrong(key, "expected `body.1`, `body.NAME`, `header` or `button.0`")),
        }
    }
    // A one-time code stands in the words and behind the button that copies it.
    if let (Category::Authentication, true, Some(code)) = (category, buttons.is_empty(), positions.get(&1)) {
        buttons.insert(0, button("body.1", 0, Some("url"), code)?);
    }
    let mut components = Vec::new();
    components.extend(header.map(|parameter| json!({ "type": "header", "parameters": [parameter] })));
    let by_position = positions.values().map(|value| json!({ "type": "text", "text": value }));
    let by_name = names.iter().map(|(name, value)| json!({ "type": "text", "parameter_name": name, "text": value }));
    let parameters: Vec<Value> = by_position.chain(by_name).collect();
    if !parameters.is_empty() {
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    components.extend(buttons.into_values());
    // BCP 47 has hyphens, WhatsApp underscores.
    let code = template.locale.as_deref().unwrap_or("en_US").replace('-', "_");
    let mut out = json!({ "name": template.name, "language": { "code": code } });
    if !components.is_empty() {
        out["components"] = components.into();
    }
    Ok(out)
}

fn wrong(key: &str, problem: &str) -> RenderError {
    RenderError::new(format!("#/template/params/{}", key.replace('~', "~0").replace('/', "~1")), "template_params", problem)
}

fn head(key: &str, kind: Option<&str>, value: &str) -> Result<Value, RenderError> {
    let linked = value.starts_with("https://") || value.starts_with("http://");
    let guessed = || {
        let file = Media { url: Some(value.to_owned().into()), ..Media::default() };
        media::mime(&file).map_or(Kind::Image, |_| kind_of(&file))
    };
    let kind = match kind {
        Some("text" | "1") => None,
        Some("image") => Some(Kind::Image),
        Some("video") => Some(Kind::Video),
        Some("document") => Some(Kind::Document),
        Some("location") => return place(key, value),
        None => linked.then(guessed),
        Some(name) if linked => return Err(wrong(key, &format!("`{name}` is no kind of header"))),
        // A header's only parameter, with its name.
        Some(name) => return Ok(json!({ "type": "text", "parameter_name": name, "text": value })),
    };
    let Some(kind) = kind else {
        if Unit::Chars.count(value) > HEADER {
            return Err(wrong(key, "a header has at most 60 characters"));
        }
        return Ok(json!({ "type": "text", "text": value }));
    };
    let source = if linked { "link" } else { "id" };
    Ok(json!({ "type": kind.word(), kind.word(): { source: value } }))
}

/// `header.location` is `latitude,longitude,name,address`.
fn place(key: &str, value: &str) -> Result<Value, RenderError> {
    let mut pieces = value.splitn(4, ',').map(str::trim);
    let mut number = || pieces.next().filter(|n| n.parse::<f64>().is_ok());
    let (Some(latitude), Some(longitude)) = (number(), number()) else {
        return Err(wrong(key, "a place is `latitude,longitude,name,address`"));
    };
    let mut place = json!({ "latitude": latitude, "longitude": longitude });
    for name in ["name", "address"] {
        if let Some(words) = pieces.next().filter(|w| !w.is_empty()) {
            place[name] = words.into();
        }
    }
    Ok(json!({ "type": "location", "location": place }))
}

fn button(key: &str, number: u32, kind: Option<&str>, value: &str) -> Result<Value, RenderError> {
    if number > 9 {
        return Err(wrong(key, "a template has at most 10 buttons"));
    }
    let short = Unit::Chars.count(value) <= CODE;
    let (kind, parameter) = match kind.unwrap_or("url") {
        "url" if key == "body.1" && !short => return Err(wrong(key, "a one-time code has at most 15 characters")),
        "url" => ("url", json!({ "type": "text", "text": value })),
        "quick_reply" => ("quick_reply", json!({ "type": "payload", "payload": value })),
        "copy_code" if !short => return Err(wrong(key, "a code to copy has at most 15 characters")),
        "copy_code" => ("copy_code", json!({ "type": "coupon_code", "coupon_code": value })),
        "flow" => ("flow", json!({ "type": "action", "action": { "flow_token": value } })),
        "catalog" => ("catalog", json!({ "type": "action", "action": { "thumbnail_product_retailer_id": value } })),
        other => return Err(wrong(key, &format!("`{other}` is no kind of button: url, quick_reply, copy_code, flow, catalog"))),
    };
    Ok(json!({ "type": "button", "sub_type": kind, "index": number.to_string(), "parameters": [parameter] }))
}
