//! Templates: what is said, per locale with a fallback chain, per channel where it must differ, with the name under which a
//! provider approved it where one has to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairway_adapters::contract::{Part, SendRequest, Template as Approved};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use super::content::{Compiled, Missing, values};
use super::links::Linker;
use super::{Failed, Room, Wrong};
use crate::channels::Channel;
use crate::clock;
use crate::store::db::Statement;
use crate::values as row;

/// What to do with a person who lacks an attribute that the words ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MissingPolicy)]
pub enum Policy {
    /// The place stays empty.
    #[default]
    Empty,
    /// The person gets nothing, and the report says why.
    Skip,
}

/// A template of `/v1/templates`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageTemplate)]
pub struct Template {
    /// Its name: 1 to 100 of `a-z`, `0-9`, `_`, `-`.
    pub name: String,
    /// The last link of every fallback chain: `pt-BR`, then `pt`, then this.
    #[serde(default = "english")]
    pub default_locale: String,
    /// The words by locale (BCP 47).
    pub locales: BTreeMap<String, Words>,
    /// What a missing attribute does.
    #[serde(default)]
    pub missing: Policy,
}

fn english() -> String {
    "en".into()
}

/// The words of one locale. What stands here itself goes to every channel that has nothing of its own.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateWords)]
pub struct Words {
    /// Message parts; every text in them may hold `{{ contact.name }}` and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
    /// The template as the provider approved it: `name`, `locale`, `params`.
    #[schema(value_type = Option<Object>)]
    pub approved: Option<Approved>,
    /// Other words for a channel, by its name, or for a medium, by its address scheme (`tel`, `mailto`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, Variation>,
}

/// Parts, a provider's approved template, or both: then parts go while the provider's window is open.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateVariation)]
pub struct Variation {
    /// Message parts; every text in them may hold `{{ contact.name }}` and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<Value>,
    /// The template as the provider approved it: `name`, `locale`, `params`.
    #[schema(value_type = Option<Object>)]
    pub approved: Option<Approved>,
}

/// What was found for somebody: the locale, whose words they are, and the words.
struct Found<'t> {
    key: (&'t str, &'t str),
    parts: &'t [Value],
    approved: Option<&'t Approved>,
}

impl Template {
    /// Checks the shape: names, locales, texts that compile, parts that are parts.
    pub fn check(&self) -> Result<(), Wrong> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 100 || !self.name.chars().all(fits) {
            return Err(Wrong::at("#/name", "name_invalid", "1 to 100 characters of a-z, 0-9, _ and -"));
        }
        if !self.locales.contains_key(&self.default_locale) {
            let detail = format!("add the locale `{}`: it is what everybody gets whose own is not there", self.default_locale);
            return Err(Wrong::at("#/locales", "locale_missing", detail));
        }
        for (locale, words) in &self.locales {
            let place = format!("#/locales/{locale}");
            if !is_locale(locale) {
                return Err(Wrong::at(place, "locale_invalid", "a locale is a BCP 47 tag such as `en` or `pt-BR`"));
            }
            if words.parts.is_empty() && words.approved.is_none() && words.channels.is_empty() {
                return Err(Wrong::at(place, "missing", "say what to send: `parts`, `approved` or `channels`"));
            }
            check_parts(&words.parts, &place)?;
            for (channel, variation) in &words.channels {
                check_parts(&variation.parts, &format!("{place}/channels/{channel}"))?;
            }
        }
        Ok(())
    }

    /// The words for a person on a channel, and the locale they are in.
    fn find(&self, locale: Option<&str>, channel: &Channel, scheme: &str) -> Option<Found<'_>> {
        for wanted in chain(locale, &self.default_locale) {
            let Some((tag, words)) = self.locales.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(&wanted)) else { continue };
            for key in [&*channel.id, scheme] {
                if let Some((key, variation)) = words.channels.get_key_value(key) {
                    return Some(Found { key: (tag, key), parts: &variation.parts, approved: variation.approved.as_ref() });
                }
            }
            if !words.parts.is_empty() || words.approved.is_some() {
                return Some(Found { key: (tag, ""), parts: &words.parts, approved: words.approved.as_ref() });
            }
        }
        None
    }
}

/// `pt-Latn-BR`, `pt-Latn`, `pt`, and the default.
fn chain(locale: Option<&str>, default: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = locale.unwrap_or_default().replace('_', "-");
    while !rest.is_empty() {
        all.push(rest.clone());
        rest = rest.rsplit_once('-').map_or(String::new(), |(head, _)| head.to_owned());
    }
    all.push(default.to_owned());
    all
}

/// Whether a text looks like a BCP 47 tag.
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    let language = parts.next().unwrap_or_default();
    (2..=8).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn check_parts(parts: &[Value], place: &str) -> Result<(), Wrong> {
    let value = Value::Array(parts.to_vec());
    // With nobody's data every text is short, but the shape is what it will be.
    let compiled = Compiled::new(value, Missing::Empty, &format!("{place}/parts"), None)?;
    let rendered = compiled.render(&minijinja::Value::UNDEFINED).unwrap_or(Value::Array(Vec::new()));
    for (index, part) in rendered.as_array().into_iter().flatten().enumerate() {
        serde_json::from_value::<Part<'static>>(part.clone())
            .map_err(|e| Wrong::at(format!("{place}/parts/{index}"), "part_invalid", e.to_string()))?;
    }
    Ok(())
}

/// Where the words of a campaign, reminder, trigger or step of a journey come from.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// One of ours.
    pub template: Option<Template>,
    /// Parts said in place.
    #[serde(default)]
    pub parts: Vec<Value>,
    /// A template of the provider's own, when the name is none of ours.
    pub approved: Option<Approved>,
    /// Names to put into the words, each a text that may itself hold a person's data.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// What was written for one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Parts.
    pub parts: Vec<Part<'static>>,
    /// The approved template.
    pub template: Option<Approved>,
}

impl Written {
    /// Puts the words into a request.
    pub fn into_request(self, request: SendRequest) -> SendRequest {
        SendRequest { parts: self.parts, template: self.template, ..request }
    }
}

struct Ready {
    parts: Compiled,
    approved: Option<Compiled>,
}

/// Writes a source for one person after the other; what is compiled is kept.
pub struct Writer {
    source: Source,
    missing: Missing,
    params: Compiled,
    links: Option<Arc<Linker>>,
    ready: Mutex<HashMap<(String, String), Arc<Ready>>>,
}

impl Writer {
    /// A writer of a source. `strict`: a missing attribute is an error whatever the template's policy.
    pub fn new(source: Source, strict: bool) -> Result<Self, Wrong> {
        let policy = source.template.as_ref().map_or(Policy::Empty, |t| t.missing);
        let missing = if strict || policy == Policy::Skip { Missing::Error } else { Missing::Empty };
        let params = Compiled::new(serde_json::to_value(&source.params).unwrap_or_default(), missing, "#/template/params", None)?;
        Ok(Self { source, missing, params, links: None, ready: Mutex::default() })
    }

    /// The same, shortening links.
    pub fn with_links(self, links: &Arc<Linker>) -> Self {
        Self { links: Some(Arc::clone(links)), ..self }
    }

    /// What the person gets on this channel. `about` is what is known: `contact`, and what else the caller knows.
    pub fn write(&self, locale: Option<&str>, channel: &Channel, to: &str, about: &Map<String, Value>) -> Result<Written, Wrong> {
        let scheme = to.split(':').next().unwrap_or_default();
        let known = values(about);
        let params = self.params.render(&known)?;
        if let (None, Some(approved)) = (&self.source.template, &self.source.approved) {
            let params = serde_json::from_value(params).unwrap_or_default();
            let locale = approved.locale.clone().or_else(|| locale.map(str::to_owned));
            return Ok(Written { parts: Vec::new(), template: Some(Approved { name: approved.name.clone(), locale, params }) });
        }
        let ready = self.ready(locale, channel, scheme)?;
        let data = match params {
            Value::Object(params) if !params.is_empty() => {
                let mut data = about.clone();
                data.extend(params);
                values(&data)
            }
            _ => known,
        };
        let parts = serde_json::from_value(ready.parts.render(&data)?)
            .map_err(|e| Wrong::at("#/parts", "part_invalid", format!("with this person's data it is no message: {e}")))?;
        let template = match &ready.approved {
            None => None,
            Some(approved) => Some(
                serde_json::from_value(approved.render(&data)?).map_err(|e| Wrong::at("#/approved", "template_invalid", e.to_string()))?,
            ),
        };
        Ok(Written { parts, template })
    }

    /// The names that the words for this person ask for.
    pub fn names(&self, locale: Option<&str>, channel: &Channel, to: &str) -> Vec<String> {
        let scheme = to.split(':').next().unwrap_or_default();
        let mut names = self.params.names();
        if let Ok(ready) = self.ready(locale, channel, scheme) {
            names.extend(ready.parts.names());
            names.extend(ready.approved.iter().flat_map(Compiled::names));
        }
        names.retain(|n| !self.source.params.contains_key(n));
        names
    }

    fn ready(&self, locale: Option<&str>, channel: &Channel, scheme: &str) -> Result<Arc<Ready>, Wrong> {
        let found = match &self.source.template {
            None => Found { key: ("", ""), parts: &self.source.parts, approved: None },
            Some(template) => template.find(locale, channel, scheme).ok_or_else(|| {
                let detail = format!("the template {} has no words for {} and none for all channels", template.name, channel.id);
                Wrong::at("#/template", "words_missing", detail)
            })?,
        };
        let key = (found.key.0.to_owned(), found.key.1.to_owned());
        if let Some(ready) = self.ready.lock().get(&key) {
            return Ok(Arc::clone(ready));
        }
        let parts = Compiled::new(Value::Array(found.parts.to_vec()), self.missing, "#/parts", self.links.as_ref())?;
        let approved = match found.approved {
            Some(approved) => {
                Some(Compiled::new(serde_json::to_value(approved).unwrap_or_default(), self.missing, "#/approved", self.links.as_ref())?)
            }
            None => None,
        };
        let ready = Arc::new(Ready { parts, approved });
        self.ready.lock().insert(key, Arc::clone(&ready));
        Ok(ready)
    }
}

impl Room {
    /// Adds or changes a template; its version.
    pub async fn put_template(&self, template: &Template) -> Result<i64, Failed> {
        template.check()?;
        let body = serde_json::to_string(template).unwrap_or_default();
        let sql = "INSERT INTO templates (name, body, version, updated_at) VALUES (?1, ?2, 1, ?3)
            ON CONFLICT (name) DO UPDATE SET body = excluded.body, version = templates.version + 1, updated_at = excluded.updated_at
            RETURNING version";
        let done = self.parts.db.write(vec![Statement::once(sql, row![template.name.as_str(), body, clock::now().0])]).await?;
        Ok(done.first().and_then(|d| d.rows.first()).map_or(Ok(1), |r| r.int(0))?)
    }

    /// One template with its version.
    pub async fn template(&self, name: &str) -> Result<(Template, i64), Failed> {
        let rows = self.parts.db.read("SELECT body, version FROM templates WHERE name = ?1".into(), row![name]).await?;
        let found = rows.first().and_then(|r| Some((r.json(0)?, r.int(1).ok()?)));
        found.ok_or(Failed::Unknown("there is no template of this name"))
    }

    /// All templates with their versions, by name.
    pub async fn templates(&self) -> Result<Vec<(Template, i64)>, Failed> {
        let rows = self.parts.db.read("SELECT body, version FROM templates ORDER BY name".into(), Vec::new()).await?;
        Ok(rows.iter().filter_map(|r| Some((r.json(0)?, r.int(1).ok()?))).collect())
    }

    /// Removes a template. What was launched with it keeps its words.
    pub async fn remove_template(&self, name: &str) -> Result<(), Failed> {
        let done = self.parts.db.write(vec![Statement::once("DELETE FROM templates WHERE name = ?1", row![name])]).await?;
        if done.first().is_none_or(|d| d.changed == 0) {
            return Err(Failed::Unknown("there is no template of this name"));
        }
        Ok(())
    }

    /// The source of a request's `template` and `parts`: ours by name, else the provider's own.
    pub async fn source(&self, template: Option<&Approved>, parts: &[Value]) -> Result<Source, Failed> {
        let Some(named) = template else {
            check_parts(parts, "#")?;
            return Ok(Source { parts: parts.to_vec(), ..Source::default() });
        };
        if !parts.is_empty() {
            return Err(Wrong::at("#/parts", "ambiguous", "say `template` or `parts`, not both").into());
        }
        let params = named.params.clone();
        match self.template(&named.name).await {
            Ok((template, _)) => Ok(Source { template: Some(template), params, ..Source::default() }),
            Err(Failed::Unknown(_)) => Ok(Source { approved: Some(named.clone()), params, ..Source::default() }),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::Channels;
    use crate::config::Config;

    fn channels() -> Channels {
        let text = "[channels.tg]\nprovider = \"telegram\"\nbot_token = \"1:x\"\nwebhook_secret_token = \"abcdefghijklmnop\"\n";
        let config = Config::parse(text, std::path::Path::new("t.toml"), &|_| None).expect("a configuration");
        Channels::bind(&config).expect("a channel")
    }

    fn template() -> Template {
        serde_json::from_value(json!({ "name": "spring", "locales": {
            "en": { "parts": [{ "type": "text", "text": "Hello {{ first }}" }], "channels": { "telegram": { "parts": [{ "type": "text", "text": "Hey {{ first }}" }] } } },
            "pt": { "parts": [{ "type": "text", "text": "Olá {{ first }}" }] } } }))
        .expect("a template")
    }

    #[test]
    fn words_come_by_locale_then_channel() {
        let channels = channels();
        let channel = &channels.by_id["tg"];
        let params = BTreeMap::from([("first".to_owned(), "{{ contact.name|default('you') }}".to_owned())]);
        let writer = Writer::new(Source { template: Some(template()), params, ..Source::default() }, false).expect("a writer");
        let about = json!({ "contact": { "name": "Ana" } }).as_object().cloned().expect("an object");
        let said = |locale: Option<&str>, about: &Map<String, Value>| {
            let written = writer.write(locale, channel, "telegram:1", about).expect("words");
            serde_json::to_value(&written.parts).expect("plain data")[0]["text"].as_str().expect("a text").to_owned()
        };
        assert_eq!(said(Some("pt-BR"), &about), "Olá Ana");
        assert_eq!(said(Some("de"), &about), "Hey Ana");
        assert_eq!(said(None, &Map::new()), "Hey you");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(template().check(), Ok(()));
        let mut wrong = template();
        wrong.default_locale = "it".into();
        assert_eq!(wrong.check().expect_err("no default").pointer, "#/locales");
        let mut wrong = template();
        wrong.locales.insert("en".into(), serde_json::from_value(json!({ "parts": [{ "type": "text", "text": "{{ x" }] })).expect("words"));
        assert_eq!(wrong.check().expect_err("a broken text").pointer, "#/locales/en/parts/0/text");
        let mut wrong = template();
        wrong.locales.insert("en".into(), serde_json::from_value(json!({ "parts": [{ "type": "txt", "text": "x" }] })).expect("words"));
        assert_eq!(wrong.check().expect_err("no part").pointer, "#/locales/en/parts/0");
        assert_eq!(chain(Some("pt_BR"), "en"), ["pt-BR", "pt", "en"]);
    }
}
