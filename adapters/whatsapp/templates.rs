//! Templates: what fills the places of one that Meta has approved.
//!
//! The names of our parameters say where each goes: `body.1` or the template's own name for it, `header` (`header.image`,
//! `header.video`, `header.document` for a file's address or Meta id), `button.0` for the changing end of a URL
//! (`button.0.payload`, `button.0.copy_code`, `button.0.flow` for other kinds of button).

use serde_json::{Value, json};

use crate::contract::*;

/// The template reference, read 2026-11-20.
const HEADER: usize = 60;
const CODE: usize = 15;
const BUTTONS: usize = 10;

/// The `template` object.
pub(super) fn content(template: &Template, category: Category) -> Result<Value, RenderError> {
    if template.name.is_empty() {
        return Err(RenderError::new("#/template/name", "template_name_missing", "name the template"));
    }
    let mut places = Places::default();
    for (name, value) in &template.params {
        places.put(name, value)?;
    }
    if category == Category::Authentication && places.buttons.is_empty() {
        // A one-time code stands in the text and on the button that copies it.
        if let [(_, code)] = &places.numbered[..] {
            let code = code.clone();
            places.buttons.push((0, "url".into(), code));
        }
    }
    let too_wide = template.params.iter().find(|(_, value)| value.chars().count() > CODE);
    if let (Category::Authentication, Some((name, _))) = (category, too_wide) {
        return Err(too_long(name, CODE));
    }
    let language = template.locale.as_deref().unwrap_or("en_US").replace('-', "_");
    let mut out = json!({ "name": template.name, "language": { "code": language } });
    let components = places.components();
    if !components.is_empty() {
        out["components"] = components.into();
    }
    Ok(out)
}

/// A template in words, for the preview.
pub(super) fn shown(template: &Template) -> String {
    let values: Vec<&str> = template.params.values().map(String::as_str).collect();
    format!("[template {}] {}", template.name, values.join(", ")).trim_end().to_owned()
}

fn too_long(name: &str, max: usize) -> RenderError {
    RenderError::new(format!("#/template/params/{}", name.replace('/', "~1")), "template_param_too_long", format!("at most {max} characters fit here"))
}

#[derive(Default)]
struct Places {
    header: Option<Value>,
    numbered: Vec<(u32, String)>,
    named: Vec<(String, String)>,
    /// Index, kind, value.
    buttons: Vec<(u32, String, String)>,
}

impl Places {
    fn put(&mut self, name: &str, value: &str) -> Result<(), RenderError> {
        let mut steps = name.splitn(3, '.');
        let (first, second, third) = (steps.next().unwrap_or_default(), steps.next(), steps.next());
        match (first, second) {
            ("header", kind) => self.header = Some(header(name, kind.unwrap_or_default(), value)?),
            ("button" | "buttons", Some(index)) => {
                let index = index.parse().ok().filter(|index| (*index as usize) < BUTTONS);
                let Some(index) = index else {
                    let at = format!("#/template/params/{}", name.replace('/', "~1"));
                    return Err(RenderError::new(at, "template_param_invalid", "a template has buttons 0 to 9: `button.0`"));
                };
                self.buttons.push((index, third.unwrap_or("url").to_owned(), value.to_owned()));
            }
            ("body", Some(place)) => self.body(place, value),
            _ => self.body(name, value),
        }
        Ok(())
    }

    fn body(&mut self, place: &str, value: &str) {
        match place.parse() {
            Ok(number) => self.numbered.push((number, value.to_owned())),
            Err(_) => self.named.push((place.to_owned(), value.to_owned())),
        }
    }

    fn components(mut self) -> Vec<Value> {
        let mut out = Vec::new();
        if let Some(header) = self.header {
            out.push(json!({ "type": "header", "parameters": [header] }));
        }
        self.numbered.sort_by_key(|(number, _)| *number); // "10" comes before "2" among names.
        let numbered = self.numbered.iter().map(|(_, text)| json!({ "type": "text", "text": text }));
        let named = self.named.iter().map(|(name, text)| json!({ "type": "text", "parameter_name": name, "text": text }));
        let body: Vec<Value> = numbered.chain(named).collect();
        if !body.is_empty() {
            out.push(json!({ "type": "body", "parameters": body }));
        }
        self.buttons.sort_by_key(|(index, ..)| *index);
        out.extend(self.buttons.iter().map(|(index, kind, value)| button(*index, kind, value)));
        out
    }
}

fn header(name: &str, kind: &str, value: &str) -> Result<Value, RenderError> {
    let is_link = value.starts_with("https://") || value.starts_with("http://");
    let file = || if is_link { json!({ "link": value }) } else { json!({ "id": value }) };
    let by_ending = || {
        let path = value.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let ends = |endings: &[&str]| is_link && endings.iter().any(|ending| path.ends_with(ending));
        if ends(&[".jpg", ".jpeg", ".png"]) {
            "image"
        } else if ends(&[".mp4", ".3gp"]) {
            "video"
        } else if ends(&[".pdf"]) {
            "document"
        } else {
            "text"
        }
    };
    let kind = if matches!(kind, "image" | "video" | "document" | "text") { kind } else { by_ending() };
    if kind != "text" {
        return Ok(json!({ "type": kind, kind: file() }));
    }
    if value.chars().count() > HEADER {
        return Err(too_long(name, HEADER));
    }
    Ok(json!({ "type": "text", "text": value }))
}

fn button(index: u32, kind: &str, value: &str) -> Value {
    let (sub_type, parameter) = match kind {
        "payload" | "quick_reply" => ("quick_reply", json!({ "type": "payload", "payload": value })),
        "copy_code" | "coupon_code" => ("copy_code", json!({ "type": "coupon_code", "coupon_code": value })),
        "flow" => ("flow", json!({ "type": "action", "action": { "flow_token": value } })),
        "catalog" => ("catalog", json!({ "type": "action", "action": { "thumbnail_product_retailer_id": value } })),
        _ => ("url", json!({ "type": "text", "text": value })),
    };
    json!({ "type": "button", "sub_type": sub_type, "index": index.to_string(), "parameters": [parameter] })
}
