//! Utility templates: the parameters of a request as components.
//!
//! `body.1` or `body.NAME` (or a bare name), `header`, and `button.0` for the payload of a button.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::contract::*;

/// The `message.template` of a request.
pub(super) fn body(template: &Template) -> Result<Value, RenderError> {
    if template.name.is_empty() {
        return Err(RenderError::new("#/template/name", "template_invalid", "a template has a name"));
    }
    let mut header = None;
    let mut positions: BTreeMap<u32, &str> = BTreeMap::new();
    let mut names: Vec<(&str, &str)> = Vec::new();
    let mut buttons: BTreeMap<u32, Value> = BTreeMap::new();
    for (key, value) in &template.params {
        let (place, rest) = key.split_once('.').map_or((key.as_str(), None), |(place, rest)| (place, Some(rest)));
        let wrong = || {
            let at = format!("#/template/params/{}", key.replace('~', "~0").replace('/', "~1"));
            RenderError::new(at, "template_params", "expected `body.1`, `body.NAME`, `header` or `button.0`")
        };
        let mut words = |name| match str::parse(name) {
            Ok(number) => drop(positions.insert(number, value)),
            Err(_) => names.push((name, value)),
        };
        match (place, rest) {
            ("header", None | Some("text")) => header = Some(json!({ "type": "text", "text": value })),
            ("header", Some("image")) => header = Some(json!({ "type": "image", "image": { "link": value } })),
            ("button", Some(rest)) => {
                let number = rest.split('.').next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
                buttons.insert(number, json!({ "type": "POSTBACK", "payload": value }));
            }
            ("body", Some(name)) => words(name),
            (bare, None) => words(bare),
            _ => return Err(wrong()),
        }
    }
    let mut components = Vec::new();
    components.extend(header.map(|parameter| json!({ "type": "header", "parameters": [parameter] })));
    let by_position = positions.values().map(|value| json!({ "type": "text", "text": value }));
    let by_name = names.iter().map(|(name, value)| json!({ "type": "text", "parameter_name": name, "text": value }));
    let parameters: Vec<Value> = by_position.chain(by_name).collect();
    if !parameters.is_empty() {
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    if !buttons.is_empty() {
        components.push(json!({ "type": "buttons", "parameters": buttons.into_values().collect::<Vec<_>>() }));
    }
    // BCP 47 has hyphens, Meta underscores.
    let code = template.locale.as_deref().unwrap_or("en").replace('-', "_");
    let mut out = json!({ "name": template.name, "language": { "code": code } });
    if !components.is_empty() {
        out["components"] = components.into();
    }
    Ok(out)
}
