//! A message as one push to one device (or topic), in the form of the channel's generation.

use serde_json::{Map, Value, json};

use super::{Channel, FACTS, Generation, core, harmony};
use crate::contract::{Category, Context, Downgrade, Outbound, RenderError, Rendered, Unit};
use crate::kit::push::{self, Note};
use crate::kit::{address, crypto, text};

/// Bytes of a body without the device tokens.
pub(super) const BODY: usize = 4096;
/// Seconds: 15 days.
const TTL: i64 = 1_296_000;
/// Characters of a headline made of the words.
const HEADLINE: usize = 40;

/// What both generations write of a message.
pub(super) struct Push<'p> {
    pub(super) channel: &'p Channel,
    pub(super) message: &'p Outbound<'p>,
    pub(super) note: Note,
    pub(super) target: String,
    /// The target is a topic.
    pub(super) topic: bool,
    pub(super) ttl: Option<i64>,
}

pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let (target, topic) = target(channel, message.to)?;
    let mut out = Rendered::default();
    let mut note = push::note(message, &FACTS, &mut out)?;
    if note.is_silent() && note.badge.is_some() {
        // Neither generation documents a push that shows nothing but a number.
        note.data.entry("badge").or_insert_with(|| note.badge.into());
        downgrade(&mut out, "badge", "data for the app", "a push without words shows nothing");
    }
    if note.badge.is_some()
        && !note.is_silent()
        && channel.settings.generation == Generation::Core
        && channel.settings.badge_class.is_none()
    {
        note.badge = None;
        downgrade(&mut out, "badge", "nothing", "the number on the icon needs the app's entry class: set `badge_class`");
    }
    let ttl = push::ttl(message, cx.now, TTL).map(|ttl| ttl.max(1));
    let push = Push { channel, message, note, target, topic, ttl };
    let call = match channel.settings.generation {
        Generation::Core => core::call(&push, cx)?,
        Generation::Harmony => harmony::call(&push, cx)?,
    };
    out.calls.push(call);
    Ok(out)
}

fn downgrade(out: &mut Rendered, from: &str, into: &str, why: &str) {
    out.downgrades.push(Downgrade { part: 0, from: from.into(), into: into.into(), why: why.into() });
}

fn target(channel: &Channel, to: &str) -> Result<(String, bool), RenderError> {
    let wrong = |expected: &str| RenderError::new("#/to", "address_invalid", format!("expected {expected}"));
    // Looked for before anything is unescaped: a token that reads `topic/...` is one device's and no topic.
    match to.strip_prefix("hms:topic/") {
        Some(_) if channel.settings.generation == Generation::Harmony => Err(wrong("a device token: HarmonyOS 5 has no topics")),
        Some("") => Err(wrong("`hms:topic/` and a name")),
        Some(topic) => Ok((topic.to_owned(), true)),
        None => {
            let id = address::id(to, "hms").filter(|id| id.bytes().all(|b| b.is_ascii_graphic()));
            id.map(|id| (id.into_owned(), false)).ok_or_else(|| wrong("`hms:` and the device token"))
        }
    }
}

impl Push<'_> {
    /// Both generations demand a headline and words.
    pub(super) fn headline(&self) -> String {
        let words = || self.note.body.as_deref().map(|body| text::shorten(body.lines().next().unwrap_or_default(), HEADLINE, Unit::Chars));
        self.note.title.clone().or_else(|| self.channel.settings.title.clone()).or_else(words).unwrap_or_else(|| "…".into())
    }

    pub(super) fn words(&self) -> String {
        self.note.body.clone().unwrap_or_else(|| self.headline())
    }

    /// Data for the app, with our id and what the system cannot show.
    pub(super) fn data(&self) -> Map<String, Value> {
        let mut data = self.note.data.clone();
        data.insert(push::OUR_ID.into(), self.message.id.into());
        if let Some(url) = &self.note.url {
            data.entry("url").or_insert_with(|| url.as_str().into());
        }
        if !self.note.options.is_empty() {
            let options: Vec<Value> = self.note.options.iter().map(|(id, title)| json!({ "id": id, "title": title })).collect();
            data.entry("options").or_insert_with(|| options.into());
        }
        data
    }

    /// The right under which it goes; advertising has none.
    pub(super) fn category(&self) -> Option<&str> {
        if self.message.category == Category::Marketing { Some("MARKETING") } else { self.channel.settings.category.as_deref() }
    }

    /// Of each group a device that is away gets the newest; without a key all are kept. There are a hundred groups for any
    /// number of keys, so two keys may meet in one: callers who cannot have that give none.
    pub(super) fn collapse_key(&self) -> i32 {
        self.note.collapse_key.as_deref().map_or(-1, |key| 1 + i32::from(crypto::sha256(key.as_bytes())[0]) % 100)
    }
}
