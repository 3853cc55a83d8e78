//! What the played Sinch refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T = ()> = Result<T, Reply>;

/// The Conversation API's way of saying no.
pub(super) fn refused(code: u16, status: &str, message: &str) -> Reply {
    Reply::json(code, &json!({ "error": { "code": code, "message": message, "status": status, "details": [] } }))
}

/// The SMS API's way of saying no.
pub(super) fn plan_refused(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({ "code": code, "text": code }))
}

fn invalid(what: &str) -> Reply {
    refused(400, "INVALID_ARGUMENT", what)
}

fn need(good: bool, what: &str) -> Checked {
    if good { Ok(()) } else { Err(invalid(what)) }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn link(value: &Value) -> Checked {
    need(value.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://")), "url")
}

/// Whom a request is for: channel and identity.
pub(super) fn recipient(body: &Value) -> Checked<(String, String)> {
    let at = &body["recipient"]["identified_by"]["channel_identities"][0];
    let (channel, identity) = (at["channel"].as_str().unwrap_or_default(), at["identity"].as_str().unwrap_or_default());
    let known = [
        "SMS",
        "MMS",
        "WHATSAPP",
        "RCS",
        "MESSENGER",
        "INSTAGRAM",
        "VIBERBM",
        "VIBER",
        "TELEGRAM",
        "KAKAOTALK",
        "KAKAOTALKCHAT",
        "LINE",
        "WECHAT",
        "APPLEBC",
    ];
    need(known.contains(&channel) && !identity.is_empty(), "recipient")?;
    let digits = identity.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit());
    need(!matches!(channel, "SMS" | "MMS" | "RCS") || digits, "recipient.identity")?;
    Ok((channel.to_owned(), identity.to_owned()))
}

/// Checks a message; answers its words.
pub(super) fn message(body: &Value, channel: &str) -> Checked<String> {
    need(chars(&body["message_metadata"]) <= 1024 && chars(&body["correlation_id"]) <= 128, "metadata")?;
    need(
        body["ttl"].is_null() || body["ttl"].as_str().is_some_and(|t| t.strip_suffix('s').is_some_and(|n| n.parse::<u64>().is_ok())),
        "ttl",
    )?;
    need(matches!(body["queue"].as_str(), None | Some("NORMAL_PRIORITY" | "HIGH_PRIORITY")), "queue")?;
    need(
        matches!(body["message_content_type"].as_str(), None | Some("CONTENT_MARKETING" | "CONTENT_NOTIFICATION" | "CONTENT_UNKNOWN")),
        "message_content_type",
    )?;
    let fields = body["message"].as_object().filter(|fields| fields.len() == 1).ok_or_else(|| invalid("message needs exactly one kind"))?;
    let (kind, what) = fields.iter().next().ok_or_else(|| invalid("message"))?;
    match kind.as_str() {
        "text_message" => {
            need((1..=5000).contains(&chars(&what["text"])), "text")?;
            Ok(what["text"].as_str().unwrap_or_default().to_owned())
        }
        "media_message" => link(&what["url"]).map(|()| "[media]".to_owned()),
        "location_message" => {
            let at = &what["coordinates"];
            need(chars(&what["title"]) > 0 && at["latitude"].is_f64() && at["longitude"].is_f64(), "location")
                .map(|()| "[location]".to_owned())
        }
        "contact_info_message" => {
            let numbers = what["phone_numbers"].as_array().is_some_and(|list| !list.is_empty());
            need(chars(&what["name"]["full_name"]) > 0 && numbers, "contact").map(|()| "[contact]".to_owned())
        }
        "choice_message" => {
            need(chars(&what["text_message"]["text"]) > 0, "choice.text")?;
            choices(&what["choices"], if channel == "WHATSAPP" { 3 } else { 10 })?;
            need(channel != "WHATSAPP" || once(&what["choices"]), "choices")?;
            Ok(what["text_message"]["text"].as_str().unwrap_or_default().to_owned())
        }
        "card_message" => card(what).map(|()| "[card]".to_owned()),
        "carousel_message" => {
            let cards = what["cards"].as_array().ok_or_else(|| invalid("cards"))?;
            need((2..=10).contains(&cards.len()), "cards")?;
            cards.iter().try_for_each(card).map(|()| "[cards]".to_owned())
        }
        "list_message" => list(what).map(|()| "[list]".to_owned()),
        "template_message" => {
            let template = &what["channel_template"][channel];
            need(chars(&template["template_id"]) > 0 && chars(&template["language_code"]) > 0, "template").map(|()| "[template]".to_owned())
        }
        _ => Err(invalid("message kind")),
    }
}

fn choices(list: &Value, most: usize) -> Checked {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    need((1..=most).contains(&list.len()), "choices")?;
    list.iter().try_for_each(|choice| match choice.as_object().and_then(|o| o.keys().find(|k| *k != "postback_data")).map(String::as_str) {
        Some("text_message") => need(chars(&choice["text_message"]["text"]) > 0, "choice"),
        Some("url_message") => link(&choice["url_message"]["url"]),
        Some("call_message") => need(choice["call_message"]["phone_number"].as_str().is_some_and(|n| n.starts_with('+')), "phone_number"),
        _ => Err(invalid("choice kind")),
    })
}

/// Each button of WhatsApp's has a title and an id of its own.
fn once(list: &Value) -> bool {
    let mut known = std::collections::HashSet::new();
    let own =
        |c: &Value| known.insert(("id", c["postback_data"].to_string())) && known.insert(("title", c["text_message"]["text"].to_string()));
    list.as_array().into_iter().flatten().filter(|c| !c["text_message"].is_null()).all(own)
}

fn card(card: &Value) -> Checked {
    need(chars(&card["title"]) > 0 && chars(&card["description"]) <= 1024, "card")?;
    if !card["media_message"].is_null() {
        link(&card["media_message"]["url"])?;
        need(matches!(card["height"].as_str(), None | Some("SHORT" | "MEDIUM" | "TALL")), "height")?;
    }
    if card["choices"].is_null() { Ok(()) } else { choices(&card["choices"], 4) }
}

fn list(list: &Value) -> Checked {
    need(chars(&list["title"]) > 0, "list.title")?;
    let sections = list["sections"].as_array().map(Vec::as_slice).unwrap_or_default();
    let items: Vec<&Value> = sections.iter().filter_map(|s| s["items"].as_array()).flatten().collect();
    let products = items.iter().all(|i| chars(&i["product"]["id"]) > 0) && chars(&list["message_properties"]["catalog_id"]) > 0;
    let rows = items.len() <= 10 && items.iter().all(|i| (1..=24).contains(&chars(&i["choice"]["title"])));
    let headed = sections.len() == 1 || sections.iter().all(|s| chars(&s["title"]) > 0);
    need(!items.is_empty() && (products || rows) && headed, "list.items")
}

/// Checks a batch; answers recipients and words.
pub(super) fn batch(body: &Value) -> Checked<(Vec<String>, String)> {
    let bad = || plan_refused(400, "syntax_invalid_parameter_format");
    let to: Vec<String> =
        body["to"].as_array().map(|list| list.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect()).unwrap_or_default();
    let digits = |n: &String| n.trim_start_matches('+').bytes().all(|b| b.is_ascii_digit()) && n.len() >= 7;
    if !(1..=1000).contains(&to.len()) || !to.iter().all(digits) || chars(&body["from"]) == 0 {
        return Err(bad());
    }
    if !matches!(body["delivery_report"].as_str(), None | Some("none" | "summary" | "full" | "per_recipient" | "per_recipient_final")) {
        return Err(bad());
    }
    let text = &body["body"];
    match body["type"].as_str() {
        None | Some("mt_text") => {
            let words = text.as_str().unwrap_or_default();
            let open = words.contains("${") && body["parameters"].is_null();
            if !(1..=2000).contains(&chars(text)) || open {
                return Err(plan_refused(400, "syntax_constraint_violation"));
            }
            Ok((to, words.to_owned()))
        }
        Some("mt_media") => link(&text["url"]).map_err(|_| bad()).map(|()| (to, "[media]".to_owned())),
        Some("mt_binary") => Ok((to, "[binary]".to_owned())),
        _ => Err(bad()),
    }
}
