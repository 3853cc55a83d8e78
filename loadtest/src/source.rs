//! One channel's provider as it delivers: texts, pictures, receipts, duplicates, and forgeries, signed by its twin.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fairway_adapters::Provider;
use fairway_adapters::conformance::written;
use fairway_adapters::contract::twin::{Act, Answer, Draft, Request, Twin};
use fairway_adapters::contract::{Adapter, Context, Outbound, Part, Settings, Time, Webhook};
use hyper::Uri;
use serde_json::Value;

use crate::wire::Shot;

/// The token in the URL of channels whose provider signs nothing.
pub const HOOK_TOKEN: &str = "loadtest-hook-token-0001";

/// The seed of every twin: a channel's settings follow from it.
pub const SEED: u64 = 1;

/// The time now, as adapters count it.
pub fn now() -> Time {
    Time(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64))
}

/// A person of a provider, by number.
pub fn person(provider: &Provider, number: u64) -> String {
    match provider.facts.schemes[0] {
        scheme if fairway_adapters::NUMBERS.contains(&scheme) => format!("{scheme}:+1555{number:07}"),
        "mailto" => format!("mailto:p{number}@example.org"),
        scheme => format!("{scheme}:{}", 100_000 + number),
    }
}

/// Whether a provider's messages take a connection of their own in place of webhooks and calls: this tool plays none.
pub fn connects(provider: &Provider) -> bool {
    let mut twin = (provider.twin)(SEED);
    let drafts = twin.act(&person(provider, 0), &Act::Text("hello".into()), now());
    twin.line().is_some() && drafts.iter().all(|draft| twin.goes_over_line(draft))
}

/// What a channel's provider can be made to deliver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Can {
    /// Words of a person.
    pub texts: bool,
    /// Pictures whose words tell them apart.
    pub media: bool,
    /// Receipts.
    pub receipts: bool,
    /// Takes words for anybody and tells them apart.
    pub sends: bool,
}

impl Can {
    /// Whether it delivers anything.
    pub fn delivers(&self) -> bool {
        self.texts || self.media || self.receipts
    }
}

struct Inner {
    twin: Box<dyn Twin>,
    receipts: VecDeque<Draft>,
    /// Deliveries made before, with the number of the arrival each was made for.
    made: VecDeque<(u32, Draft)>,
    sent: u64,
}

/// A channel's provider.
pub struct Source {
    /// The provider.
    pub provider: &'static Provider,
    /// The channel's name.
    pub channel: String,
    adapter: Option<Arc<dyn Adapter>>,
    hook: String,
    reach: usize,
    inner: Mutex<Inner>,
}

impl Source {
    /// A provider that delivers to the channel of this name at a gateway's URL.
    pub fn new(provider: &'static Provider, channel: &str, gateway: &str, reach: usize) -> Self {
        let token = if provider.facts.needs_hook_token { format!("/{HOOK_TOKEN}") } else { String::new() };
        let twin = (provider.twin)(SEED);
        let mut settings = twin.settings();
        if !twin.own() {
            settings.insert("api_base".into(), "http://127.0.0.1:9".into());
        }
        Self {
            provider,
            channel: channel.to_owned(),
            adapter: (provider.bind)(Settings(settings)).ok(),
            hook: format!("{gateway}/hooks/{channel}{token}"),
            reach,
            inner: Mutex::new(Inner { twin, receipts: VecDeque::new(), made: VecDeque::new(), sent: 0 }),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Finds out what it can deliver and take, by trying it on a twin of its own.
    pub fn can(&self) -> Can {
        let mut twin = (self.provider.twin)(SEED);
        let person = person(self.provider, 0);
        let mut told = |act: Act| twin.act(&person, &act, now()).into_iter().next().is_some_and(|draft| self.shows(&*twin, draft));
        let delivers = self.provider.facts.delivers();
        let texts = delivers && told(Act::Text("n0probe".into()));
        let media = delivers && told(Act::Image("n0probe".into()));
        let answers: Vec<Answer> = self.sends("n0probe", 0).into_iter().flatten().map(|request| twin.answer(&request, now())).collect();
        // A provider that the gateway itself plays never asks a twin.
        let sends = !twin.own() && answers.iter().flat_map(|a| &a.accepted).any(|a| a.text == "n0probe");
        Can { texts, media, receipts: delivers && answers.iter().any(|a| !a.emits.is_empty()), sends }
    }

    /// Whether the words of a delivery can be found again in what it becomes; where published keys are needed for that, in its body.
    fn shows(&self, twin: &dyn Twin, draft: Draft) -> bool {
        let draft = twin.sign(&self.hook, draft);
        let header = |(name, value): &(String, String)| {
            Some((http::HeaderName::try_from(name.as_str()).ok()?, http::HeaderValue::from_str(value).ok()?))
        };
        let headers: http::HeaderMap = draft.headers.iter().filter_map(header).collect();
        let hook = Webhook { method: &draft.method, url: &self.hook, query: &draft.query, headers: &headers, body: &draft.body };
        let cx = self.context();
        let parsed = self.adapter.as_ref().and_then(|a| a.verify(hook, &cx).ok().map(|proof| a.parse(&proof, &cx).events));
        match parsed {
            Some(events) => events.iter().any(|event| written(event).to_string().contains("n0probe")),
            None => draft.body.windows(7).any(|w| w == b"n0probe"),
        }
    }

    fn context(&self) -> Context<'_> {
        Context { now: now(), public_url: "http://127.0.0.1", hook_url: &self.hook, login: None, keys: None }
    }

    /// A person writes, or sends a picture. The words begin with `n` and the number.
    pub fn words(&self, number: u32, who: u64, bytes: usize, media: bool) -> Option<Draft> {
        let mark = format!("n{number}");
        let act = if media {
            Act::Image(mark)
        } else {
            let filler = "lorem ipsum dolor sit amet ";
            let long = bytes.saturating_sub(mark.len() + 1);
            Act::Text(format!("{mark} {}", filler.repeat(long / filler.len() + 1).get(..long).unwrap_or_default().trim_end()))
        };
        let mut inner = self.inner();
        let draft = inner.twin.act(&person(self.provider, who), &act, now()).into_iter().next()?;
        if self.reach > 0 {
            if inner.made.len() >= self.reach {
                inner.made.pop_front();
            }
            inner.made.push_back((number, draft.clone()));
        }
        Some(draft)
    }

    /// Words that no twin remembers: for forgeries.
    pub fn words_of_nobody(&self, number: u32, who: u64) -> Option<Draft> {
        self.inner().twin.act(&person(self.provider, who), &Act::Text(format!("n{number}")), now()).into_iter().next()
    }

    /// A delivery made before: `back` counts from the newest. With it the number it was made for.
    pub fn again(&self, back: usize) -> Option<(u32, Draft)> {
        let inner = self.inner();
        let count = inner.made.len();
        (count > 0).then(|| inner.made[count - 1 - back % count].clone())
    }

    /// The next receipt, for a message that somebody else sent through the same account.
    pub fn receipt(&self, who: u64) -> Option<Draft> {
        let mut inner = self.inner();
        if inner.receipts.is_empty() {
            inner.sent += 1;
            let number = inner.sent;
            let requests = self.sends(&format!("elsewhere{number}"), who)?;
            for request in requests {
                let answer = inner.twin.answer(&request, now());
                inner.receipts.extend(answer.emits.into_iter().map(|e| e.draft));
            }
        }
        inner.receipts.pop_front()
    }

    /// The requests by which somebody else sends these words.
    fn sends(&self, words: &str, who: u64) -> Option<Vec<Request>> {
        let (parts, native) = ([Part::text(words.to_owned())], serde_json::Map::new());
        let (id, to) = (format!("msg_{words}"), person(self.provider, who));
        let message = Outbound {
            id: &id,
            to: &to,
            thread: None,
            parts: &parts,
            template: None,
            category: Default::default(),
            reply_to: None,
            handle: None,
            author: None,
            expires_at: None,
            native: &native,
        };
        let rendered = self.adapter.as_ref()?.render(&message, &self.context()).ok()?;
        rendered
            .calls
            .iter()
            .map(|call| {
                let uri: Uri = call.full_url().parse().ok()?;
                Some(Request {
                    method: call.method.clone(),
                    path: uri.path().to_owned(),
                    query: uri.query().unwrap_or_default().to_owned(),
                    headers: call.header_map(),
                    body: Bytes::copy_from_slice(call.body_bytes()),
                })
            })
            .collect()
    }

    /// Signs a delivery.
    pub fn signed(&self, draft: Draft) -> Shot {
        let draft = self.inner().twin.sign(&self.hook, draft);
        self.shot(draft, &self.hook)
    }

    /// Signs a delivery for the URL that our request named for it, when it named one.
    pub fn signed_for(&self, draft: Draft, url: Option<&str>) -> Shot {
        let url = url.unwrap_or(&self.hook);
        let (hook, asked) = url.split_once('?').unwrap_or((url, ""));
        let mut draft = self.inner().twin.sign(url, draft);
        if draft.query.is_empty() {
            asked.clone_into(&mut draft.query);
        }
        self.shot(draft, hook)
    }

    /// A delivery that must be refused: unsigned, or with a byte of its proof changed.
    pub fn forged(&self, draft: Draft, unsigned: bool) -> Shot {
        if self.provider.facts.needs_hook_token {
            return self.shot(draft, &self.hook.replace(HOOK_TOKEN, "loadtest-hook-token-none"));
        }
        let mut signed = self.inner().twin.sign(&self.hook, draft.clone());
        // What signing added is the proof. Where it stands inside the body, the unsigned delivery is the forgery.
        let added: Vec<usize> = (0..signed.headers.len()).filter(|i| !draft.headers.contains(&signed.headers[*i])).collect();
        if unsigned || added.is_empty() {
            return self.shot(draft, &self.hook);
        }
        for at in added {
            spoil(&mut signed.headers[at].1);
        }
        self.shot(signed, &self.hook)
    }

    fn shot(&self, draft: Draft, hook: &str) -> Shot {
        let path = hook.splitn(4, '/').nth(3).unwrap_or_default();
        let path = if draft.query.is_empty() { format!("/{path}") } else { format!("/{path}?{}", draft.query) };
        Shot { method: draft.method, path, headers: draft.headers, body: draft.body.into() }
    }

    /// The section of the gateway's configuration for this channel. `base` is where its twin listens.
    pub fn section(&self, base: &str, more: &str) -> String {
        let inner = self.inner();
        let mut text = format!("[channels.{}]\nprovider = \"{}\"\n", self.channel, self.provider.facts.id);
        if !inner.twin.own() {
            text.push_str(&format!("api_base = \"{base}\"\n"));
        }
        if self.provider.facts.needs_hook_token {
            text.push_str(&format!("hook_token = \"{HOOK_TOKEN}\"\n"));
        }
        // By way of TOML's own values: JSON writes an object as TOML does not.
        for (key, value) in inner.twin.settings().into_iter().filter(|(k, _)| k != "api_base") {
            let value = toml::Value::try_from(value).expect("a twin's settings have nothing that a configuration cannot say");
            text.push_str(&format!("{key} = {value}\n"));
        }
        text + more
    }
}

/// Changes one letter or digit in the middle.
fn spoil(text: &mut String) {
    let letters: Vec<usize> = text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
    if let Some(at) = letters.get(letters.len() / 2) {
        let other = if text[*at..].starts_with('0') { "1" } else { "0" };
        text.replace_range(*at..=*at, other);
    }
}

/// The number that an event's words begin with.
pub fn number_of(event: &Value) -> Option<u32> {
    event["data"]["message"]["parts"].as_array()?.iter().find_map(|part| {
        let words = part["text"].as_str().or_else(|| part["caption"].as_str()).or_else(|| part["subject"].as_str())?;
        words.split([' ', '\n', '\r']).next()?.strip_prefix('n')?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_every_provider_says_what_its_twin_means() {
        for provider in fairway_adapters::PROVIDERS {
            let source = Source::new(provider, "a-channel", "http://127.0.0.1:8080", 0);
            let text = source.section("http://127.0.0.1:9400/a-channel", "");
            let read: Value = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", provider.facts.id));
            for (key, value) in source.inner().twin.settings().into_iter().filter(|(k, _)| k != "api_base") {
                assert_eq!(read["channels"]["a-channel"][&key], value, "{}: {key}", provider.facts.id);
            }
        }
    }
}
