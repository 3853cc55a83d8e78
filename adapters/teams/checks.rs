//! What the played connector refuses. Written from the fact sheet alone.

use serde_json::{Value, json};

use crate::contract::Reply;

pub(super) type Checked<T = ()> = Result<T, Reply>;

/// The connector's way of saying no.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "code": code, "message": message } }))
}

fn need(good: bool, what: &str) -> Checked {
    if good { Ok(()) } else { Err(refused(400, "BadSyntax", &format!("Bad format of {what}"))) }
}

fn words(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// Checks an activity; answers its words.
pub(super) fn activity(body: &Value, raw: &[u8]) -> Checked<String> {
    if 2 * String::from_utf8_lossy(raw).encode_utf16().count() > 100 * 1024 {
        return Err(refused(413, "MessageSizeTooBig", "Message size too large."));
    }
    match body["type"].as_str() {
        Some("typing") => return Ok(String::new()),
        Some("message") => {}
        _ => return Err(refused(400, "BadSyntax", "Activity type is required")),
    }
    let attachments = body["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    need(words(&body["text"]) || !attachments.is_empty(), "activity: empty")?;
    need(matches!(body["textFormat"].as_str(), None | Some("plain" | "markdown" | "xml" | "extendedmarkdown")), "textFormat")?;
    need(matches!(body["attachmentLayout"].as_str(), None | Some("list" | "carousel")), "attachmentLayout")?;
    need(attachments.len() <= 10, "attachments")?;
    for attachment in attachments {
        let kind = attachment["contentType"].as_str().unwrap_or_default();
        if kind.starts_with("image/") {
            need(attachment["contentUrl"].as_str().is_some_and(|url| url.starts_with("https://")), "contentUrl")?;
        } else if kind == "application/vnd.microsoft.card.adaptive" {
            card(&attachment["content"])?;
        } else {
            need(kind.starts_with("application/vnd.microsoft."), "contentType")?;
        }
    }
    // Teams tears words and attachments apart; nobody who wants the message's id sends both.
    need(!words(&body["text"]) || attachments.is_empty(), "activity: text beside attachments")?;
    Ok(body["text"].as_str().or_else(|| body["summary"].as_str()).unwrap_or("[card]").to_owned())
}

fn card(card: &Value) -> Checked {
    need(card["type"] == "AdaptiveCard" && words(&card["version"]), "card")?;
    let list = |name: &str| card[name].as_array().cloned().unwrap_or_default();
    need(!list("body").is_empty() || !list("actions").is_empty(), "card: empty")?;
    for block in list("body") {
        match block["type"].as_str() {
            Some("TextBlock") => need(words(&block["text"]), "TextBlock")?,
            Some("Image") => need(block["url"].as_str().is_some_and(|url| url.starts_with("https://")), "Image")?,
            Some("Input.ChoiceSet") => {
                let choices = block["choices"].as_array().cloned().unwrap_or_default();
                need(
                    words(&block["id"]) && !choices.is_empty() && choices.iter().all(|c| words(&c["title"]) && words(&c["value"])),
                    "Input.ChoiceSet",
                )?;
            }
            Some("Container" | "ColumnSet" | "FactSet" | "Input.Text") => {}
            _ => need(false, "card body")?,
        }
    }
    for action in list("actions") {
        need(words(&action["title"]), "action.title")?;
        match action["type"].as_str() {
            Some("Action.Submit" | "Action.Execute" | "Action.ShowCard") => {}
            Some("Action.OpenUrl") => need(words(&action["url"]), "Action.OpenUrl")?,
            _ => need(false, "action")?,
        }
    }
    Ok(())
}
