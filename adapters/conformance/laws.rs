//! The laws themselves. Each takes a provider and fails with the case that broke it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::written;
use crate::Provider;
use crate::contract::twin::{Draft, Request, Twin};
use crate::contract::*;

/// Runs every law for one provider.
macro_rules! laws {
    ($provider:expr) => {
        $crate::conformance::laws! { $provider =>
            it_accepts_what_the_provider_signed, it_refuses_any_changed_byte, no_bytes_make_it_panic,
            it_parses_repeatably_with_unique_keys, nothing_is_lost, it_says_what_the_fixtures_say,
            it_renders_what_the_fixtures_say, its_golden_file_is_up_to_date, it_revises_as_the_fixtures_say, it_revises_what_it_sent,
            what_it_renders_the_twin_accepts, it_classifies_as_the_fixtures_say,
            classify_is_total_and_only_success_is_success, the_limit_is_counted_in_its_unit, no_secret_prints,
            a_round_trip_ends_in_the_receipt_it_announced, its_facts_are_complete, an_unknown_setting_names_the_nearest,
            a_link_brings_people_and_their_referral, its_links_are_as_the_fixtures_say,
            a_session_answers_when_it_is_durable, a_session_ends_every_call_once, no_bytes_break_a_session, a_session_remembers
        }
    };
    ($provider:expr => $($law:ident),*) => {
        $(#[test] fn $law() { $crate::conformance::$law($provider) })*
    };
}
pub(crate) use laws;

const NOW: Time = Time(1_795_169_730_000);
const HOOK: &str = "https://gw.example.org/hooks/channel";

/// An adapter beside its twin, logged in where there are logins, with the published keys where there are some.
pub(super) struct Pair {
    pub(super) twin: Box<dyn Twin>,
    pub(super) adapter: Arc<dyn Adapter>,
    login: Option<Secret>,
    keys: Option<Vec<u8>>,
}

impl Pair {
    fn context(&self) -> Context<'_> {
        Context { now: NOW, public_url: "https://gw.example.org", hook_url: HOOK, login: self.login.as_ref(), keys: self.keys.as_deref() }
    }

    /// Where a session brings deliveries, its connection is their proof.
    fn verify<'a>(&self, hook: Webhook<'a>) -> Result<Verified<'a>, VerifyError> {
        if self.has_session() { Ok(Verified::from_our_own_session(hook)) } else { self.adapter.verify(hook, &self.context()) }
    }

    fn has_session(&self) -> bool {
        self.adapter.session(&[]).is_some()
    }

    /// Parses whatever it is, proved or not.
    pub(super) fn parse<'a>(&self, hook: Webhook<'a>) -> Parsed<'a> {
        self.adapter.parse(&Verified::from_our_own_log(hook), &self.context())
    }

    /// A case as the provider would deliver it.
    fn signed(&self, case: &Value) -> Draft {
        let draft = draft(case);
        let url = url_of(&draft.query);
        self.twin.sign(&url, draft)
    }

    pub(super) fn render(&self, asked: &Asked) -> Result<Rendered, RenderError> {
        self.adapter.render(&asked.outbound(), &self.context())
    }

    /// The call that makes of a sent message what is asked, or takes it back.
    fn revise(&self, sent: &SentMessage<'_>, edit: Option<&Asked>) -> Option<Result<Call, RenderError>> {
        match edit {
            Some(asked) => self.adapter.revise(sent, Revision::Edit(&asked.outbound()), &self.context()),
            None => self.adapter.revise(sent, Revision::Recall, &self.context()),
        }
    }
}

/// An address and the thread behind it.
fn split(to: &str) -> (&str, Option<&str>) {
    to.split_once('#').map_or((to, None), |(to, thread)| (to, Some(thread)))
}

/// Whether anything can become of a message once the provider has it.
fn revises(can: &Abilities) -> bool {
    can.edits == Support::Native || can.recalls == Support::Native
}

struct Case {
    name: String,
    path: PathBuf,
    /// Which of a table's cases it is, where its file holds more than one.
    row: Option<usize>,
    value: Value,
}

fn cases(provider: &Provider, kind: &str) -> Vec<Case> {
    let folder = PathBuf::from(provider.folder).join("fixtures").join(kind);
    let mut paths: Vec<_> = fs::read_dir(&folder).map(|d| d.filter_map(|e| Some(e.ok()?.path())).collect()).unwrap_or_default();
    paths.sort();
    // What delivers nothing has nothing to show; that it refuses whatever comes is a law of its own.
    let silent = match kind {
        "inbound" => !provider.facts.delivers(),
        "revisions" => !revises(&provider.facts.can),
        "links" => bound(provider, None).adapter.entry(&Entry::default()).is_none(),
        _ => false,
    };
    assert!(paths.is_empty() == silent, "{}: fixtures in {}, wanted: {}", provider.facts.id, folder.display(), !silent);
    paths
        .into_iter()
        .flat_map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match fixture(&path) {
                Value::Object(mut table) if table.contains_key("cases") => rows(name, path, table["cases"].take()),
                value => vec![Case { name, path, row: None, value }],
            }
        })
        .collect()
}

pub(super) fn fixture(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a readable fixture");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The cases of a table, each with a name a failure can be found by.
fn rows(table: String, path: PathBuf, cases: Value) -> Vec<Case> {
    let Value::Array(cases) = cases else { panic!("{}: `cases` is a list", path.display()) };
    let case = |(row, value): (usize, Value)| {
        let name = value.get("name").and_then(Value::as_str).map_or_else(|| row.to_string(), str::to_owned);
        Case { name: format!("{table}: {name}"), path: path.clone(), row: Some(row), value }
    };
    cases.into_iter().enumerate().map(case).collect()
}

/// Compares, or rewrites the expectation when asked to.
fn expect(case: &Case, key: &str, actual: Value) {
    let expected = case.value.get(key).cloned().unwrap_or(Value::Null);
    if expected == actual {
        return;
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let mut file = fixture(&case.path);
        let value = match case.row {
            Some(row) => &mut file["cases"][row],
            None => &mut file,
        };
        let fields = value.as_object_mut().expect("a fixture is an object");
        if actual.is_null() {
            fields.remove(key)
        } else {
            fields.insert(key.into(), actual)
        };
        fs::write(&case.path, printed(&file) + "\n").expect("a writable fixture");
        return;
    }
    panic!("{} ({}): {key}\nexpected {expected:#}\nactual   {actual:#}", case.path.display(), case.name);
}

/// A fixture as it stands in its file: a table has a line for each case, so that it reads as one.
fn printed(file: &Value) -> String {
    match file.get("cases").and_then(Value::as_array) {
        Some(cases) => {
            let lines: Vec<_> = cases.iter().map(|case| format!("  {case}")).collect();
            format!("{{\"cases\": [\n{}\n]}}", lines.join(",\n"))
        }
        None => serde_json::to_string_pretty(file).expect("plain data"),
    }
}

fn settings(twin: &dyn Twin, case: Option<&Value>) -> Settings {
    let mut map = twin.settings();
    if let Some(Value::Object(more)) = case.and_then(|c| c.get("settings")) {
        map.extend(more.clone());
    }
    Settings(map)
}

/// Settings as they are in production: every base URL is the provider's own.
pub(super) fn bound(provider: &Provider, case: Option<&Value>) -> Pair {
    pair(provider, |twin| settings(twin, case))
}

/// Settings whose every base URL points at the twin, as the sandbox hosts it.
pub(super) fn on_stage(provider: &Provider, case: Option<&Value>) -> Pair {
    pair(provider, |twin| {
        let mut settings = settings(twin, case);
        settings.0.insert("api_base".into(), "http://twin.test".into());
        settings
    })
}

/// The same, with the connections of their own that its channels may have.
pub(super) fn on_line(provider: &Provider) -> Pair {
    pair(provider, |twin| {
        let mut settings = settings(twin, None);
        settings.0.insert("api_base".into(), "http://twin.test".into());
        settings.0.extend(twin.line().map(|_| twin.line_settings("127.0.0.1:9")).unwrap_or_default());
        settings
    })
}

fn pair(provider: &Provider, settings: impl FnOnce(&dyn Twin) -> Settings) -> Pair {
    let mut twin = (provider.twin)(7);
    let adapter = (provider.bind)(settings(&*twin)).unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
    let mut pair = Pair { login: None, keys: None, adapter, twin: (provider.twin)(7) };
    if let Some(call) = pair.adapter.login(&pair.context()) {
        let reply = twin.answer(&received(&call), NOW).reply;
        pair.login = pair.adapter.logged_in(&reply).map(|(token, _)| token);
        assert!(pair.login.is_some(), "{}: the twin answers the login {}", provider.facts.id, String::from_utf8_lossy(&reply.body));
    }
    if let Some(first) = cases(provider, "inbound").first() {
        let needs = with_hook(&pair.signed(&first.value), |hook| pair.verify(hook).err());
        if let Some(VerifyError::NeedsKeys(call)) = needs {
            pair.keys = Some(twin.answer(&received(&call), NOW).reply.body.to_vec());
        }
    }
    pair.twin = twin;
    pair
}

fn draft(case: &Value) -> Draft {
    let mut draft = if let Some(body) = case.get("body") {
        Draft::json(body)
    } else if let Some(Value::Object(form)) = case.get("form") {
        let fields: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())).collect();
        Draft::form(&fields)
    } else if let Some(octets) = octets(case) {
        Draft { method: Method::POST, query: String::new(), headers: Vec::new(), body: octets }
    } else {
        let text = case.get("text").and_then(Value::as_str).unwrap_or_default();
        Draft { method: Method::POST, query: String::new(), headers: Vec::new(), body: text.as_bytes().to_vec() }
    };
    if let Some(method) = case.get("method").and_then(Value::as_str) {
        draft.method = method.parse().expect("a method");
    }
    draft.query = case.get("query").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Object(headers)) = case.get("headers") {
        draft.headers.extend(headers.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())));
    }
    draft
}

/// Octets as a fixture writes them, with white space where it helps.
fn octets(case: &Value) -> Option<Vec<u8>> {
    let digits: String = case.get("hex")?.as_str()?.split_whitespace().collect();
    let octet = |n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).expect("two hexadecimal digits");
    Some((0..digits.len() / 2).map(octet).collect())
}

fn headers(draft: &Draft) -> HeaderMap {
    draft
        .headers
        .iter()
        .map(|(k, v)| (HeaderName::try_from(k.as_str()).expect("a header name"), HeaderValue::from_str(v).expect("a header value")))
        .collect()
}

/// Runs `act` with a webhook made of a signed draft.
fn with_hook<T>(draft: &Draft, act: impl FnOnce(Webhook<'_>) -> T) -> T {
    let url = if draft.query.is_empty() { HOOK.to_owned() } else { format!("{HOOK}?{}", draft.query) };
    let headers = headers(draft);
    act(Webhook { method: &draft.method, url: &url, query: &draft.query, headers: &headers, body: &draft.body })
}

fn url_of(query: &str) -> String {
    if query.is_empty() { HOOK.to_owned() } else { format!("{HOOK}?{query}") }
}

fn events(pair: &Pair, draft: &Draft) -> Value {
    with_hook(draft, |hook| {
        let verified = pair.verify(hook).expect("signed by the twin");
        let parsed = pair.adapter.parse(&verified, &pair.context());
        Value::Array(parsed.events.iter().map(written).collect())
    })
}

pub(crate) fn it_accepts_what_the_provider_signed(provider: &Provider) {
    if !provider.facts.delivers() {
        let pair = bound(provider, None);
        let draft = pair.twin.sign(HOOK, Draft::json(&json!({ "message": "hello" })));
        let refused = with_hook(&draft, |hook| pair.verify(hook).is_err());
        assert!(refused, "{}: takes a delivery though its provider delivers nothing", provider.facts.id);
    }
    for case in cases(provider, "inbound") {
        let pair = bound(provider, Some(&case.value));
        with_hook(&pair.signed(&case.value), |hook| {
            if let Err(e) = pair.verify(hook) {
                panic!("{}: refused: {e:?}", case.name);
            }
        });
    }
}

pub(crate) fn it_refuses_any_changed_byte(provider: &Provider) {
    if provider.facts.needs_hook_token {
        return; // Nothing is signed: the token in the URL is the engine's to check.
    }
    let pair = bound(provider, None);
    if pair.has_session() {
        for case in cases(provider, "inbound") {
            let refused = with_hook(&draft(&case.value), |hook| pair.adapter.verify(hook, &pair.context()).is_err());
            assert!(refused, "{}: what only its session may bring passed as a webhook", case.name);
        }
        return;
    }
    for case in cases(provider, "inbound") {
        let pair = bound(provider, Some(&case.value));
        let good = pair.signed(&case.value);
        if good.method == Method::GET {
            continue;
        }
        let covers_body = with_hook(&Draft { body: [&good.body[..], b"x"].concat(), ..good.clone() }, |h| pair.verify(h).is_err());
        for at in (0..good.body.len()).step_by(good.body.len() / 24 + 1) {
            let mut bad = good.clone();
            bad.body[at] ^= 1;
            let refused = with_hook(&bad, |hook| pair.verify(hook).is_err());
            assert!(refused || !covers_body, "{}: a changed byte at {at} passed", case.name);
        }
        // Without its proof nothing passes, whatever the proof covers.
        let unsigned = draft(&case.value);
        let refused = with_hook(&unsigned, |hook| pair.verify(hook).is_err());
        assert!(refused, "{}: an unsigned delivery passed", case.name);
    }
}

pub(crate) fn no_bytes_make_it_panic(provider: &Provider) {
    let pair = bound(provider, None);
    // What settings say to ignore may well come to nothing.
    let cases = cases(provider, "inbound").into_iter().filter(|case| case.value.get("nothing").is_none());
    let mut seeds: Vec<Vec<u8>> = cases.map(|case| pair.signed(&case.value).body).collect();
    seeds.push(br#"{"id":1,"text":"hello"}"#.to_vec());
    let mangled =
        (0..seeds.len(), any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..6)).prop_map(move |(i, at, bytes)| {
            let mut body = seeds[i].clone();
            if !body.is_empty() {
                let at = at.index(body.len());
                let end = (at + bytes.len()).min(body.len());
                body.splice(at..end, bytes);
            }
            body
        });
    let any_body = prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), mangled];
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&(any_body, any::<bool>(), 0..3_usize), |(body, get, kind)| {
            let kind = ["application/json", "application/x-www-form-urlencoded", ""][kind];
            let mut draft = Draft { method: if get { Method::GET } else { Method::POST }, query: String::new(), headers: Vec::new(), body };
            draft.headers.push(("content-type".into(), kind.into()));
            with_hook(&draft, |hook| {
                let _ = pair.verify(hook);
                let parsed = pair.parse(hook);
                prop_assert!(
                    get || hook.body.is_empty()
                        || !parsed.events.is_empty()
                        || parsed.unparsed.is_some()
                        || parsed.ack != Ack::default()
                        || kind.is_empty()
                        || is_empty_json(hook.body),
                    "nothing came of it and nothing was said: {:?}",
                    String::from_utf8_lossy(hook.body)
                );
                Ok(())
            })
        })
        .unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
}

/// `{}`, `[]` and the like say nothing, so nothing may come of them.
fn is_empty_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|v| v.as_object().is_none_or(|o| o.is_empty()) && v.as_array().is_none_or(|a| a.is_empty()))
}

pub(crate) fn it_parses_repeatably_with_unique_keys(provider: &Provider) {
    for case in cases(provider, "inbound") {
        let pair = bound(provider, Some(&case.value));
        let draft = pair.signed(&case.value);
        let (once, twice) = (events(&pair, &draft), events(&pair, &draft));
        assert_eq!(once, twice, "{}", case.name);
        let mut seen = HashSet::new();
        for event in once.as_array().into_iter().flatten() {
            if let Some(key) = event.get("key") {
                assert!(seen.insert((event["type"].to_string(), key.to_string())), "{}: key {key} twice", case.name);
            }
        }
    }
}

pub(crate) fn nothing_is_lost(provider: &Provider) {
    // A delivery with a field name nobody knows must come out as something: an event or a leftover.
    let pair = bound(provider, None);
    for body in [json!({ "surprise": { "a": 1 } }), json!([{ "surprise": 1 }])] {
        let draft = pair.twin.sign(HOOK, Draft::json(&body));
        with_hook(&draft, |hook| {
            let parsed = pair.parse(hook);
            assert!(!parsed.events.is_empty() || parsed.unparsed.is_some(), "{}: {body} vanished", provider.facts.id);
        });
    }
    for case in cases(provider, "inbound") {
        let has = |key: &str| case.value.get(key).is_some_and(|v| !v.is_null() && v != &json!([]));
        assert!(
            has("events") || has("unparsed") || has("ack") || has("nothing"),
            "{}: expects nothing to come of it; say why in `nothing`",
            case.name
        );
    }
}

pub(crate) fn it_says_what_the_fixtures_say(provider: &Provider) {
    for case in cases(provider, "inbound") {
        let pair = bound(provider, Some(&case.value));
        with_hook(&pair.signed(&case.value), |hook| {
            let verified = pair.verify(hook).unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
            let parsed = pair.adapter.parse(&verified, &pair.context());
            expect(&case, "events", Value::Array(parsed.events.iter().map(written).collect()));
            expect(&case, "unparsed", parsed.unparsed.as_deref().map_or(Value::Null, Into::into));
            let ack = (parsed.ack != Ack::default())
                .then(|| json!({ "status": parsed.ack.status.as_u16(), "body": String::from_utf8_lossy(&parsed.ack.body) }));
            expect(&case, "ack", ack.unwrap_or(Value::Null));
            let owed: Vec<Value> = parsed.owed.iter().map(shown).collect();
            assert!(parsed.handles.is_empty() || provider.facts.handles, "{}: its facts say it has no handles", case.name);
            let handles: Vec<Value> = parsed.handles.iter().map(kept).collect();
            expect(&case, "handles", if handles.is_empty() { Value::Null } else { handles.into() });
            expect(&case, "waiting", parsed.waiting.as_ref().map_or(Value::Null, |waiting| waits(provider, &pair, &parsed, waiting)));
            expect(&case, "owed", if owed.is_empty() { Value::Null } else { owed.into() });
        });
    }
}

/// A handle as a fixture writes it; fixtures hold nothing that a provider would issue.
fn kept(handle: &Handle<'_>) -> Value {
    let mut out = json!({ "peer": handle.peer, "value": handle.value });
    if let Some(until) = handle.until {
        out["until"] = json!(until);
    }
    if let Some(uses) = handle.uses {
        out["uses"] = uses.into();
    }
    out
}

/// That a provider waits, as a fixture writes it. A text to whoever waits is the answer then.
fn waits(provider: &Provider, pair: &Pair, parsed: &Parsed<'_>, waiting: &Waiting<'_>) -> Value {
    let now = pair.context().now;
    assert!(provider.facts.handles, "{}: its facts say it has no handles", provider.facts.id);
    assert!(waiting.until > now && waiting.until < now.plus(provider.facts.ack_deadline_ms as i64), "within the provider's time");
    assert!(parsed.events.iter().any(|event| event.peer == waiting.peer), "somebody it told of waits");
    let message = json!({ "to": waiting.peer, "parts": [{ "type": "text", "text": "Yes" }] });
    let asked = Asked::new(message, None, &json!({ "handle": waiting.handle(7) }));
    let rendered = pair.adapter.render(&asked.outbound(), &pair.context()).unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
    let numbers: Vec<Option<u64>> = rendered.calls.iter().map(waiting::number).collect();
    assert_eq!(numbers, [Some(7)], "{}: a text is the answer, and nothing besides", provider.facts.id);
    json!({ "peer": waiting.peer, "value": waiting.value, "until": waiting.until })
}

/// A call as a fixture writes it: no credentials.
pub(crate) fn shown(call: &Call) -> Value {
    let mut out = Map::new();
    out.insert("method".into(), call.method.as_str().into());
    out.insert("url".into(), call.url.clone().into());
    let headers: Map<String, Value> =
        call.headers.iter().filter(|(n, _)| n != "content-type").map(|(n, v)| (n.to_string(), v.clone().into())).collect();
    if !headers.is_empty() {
        out.insert("headers".into(), headers.into());
    }
    match &call.body {
        CallBody::Empty => {}
        CallBody::Bytes(bytes) => {
            if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                out.insert("body".into(), value);
            } else if call.url.starts_with(session::SCHEME) {
                out.insert("hex".into(), crate::kit::crypto::hex(bytes).into());
            } else if std::str::from_utf8(bytes).is_err() {
                out.insert("base64".into(), crate::kit::crypto::base64(bytes).into());
            } else {
                let fields: Vec<Value> = form_urlencoded::parse(bytes).map(|(k, v)| json!([k, v])).collect();
                out.insert("form".into(), fields.into());
            }
        }
        CallBody::Pieces { pieces, limit } => {
            out.insert("pieces".into(), pieces_shown(pieces));
            out.insert("limit".into(), (*limit).into());
        }
        CallBody::Multipart(fields) => {
            let fields: Vec<Value> = fields
                .iter()
                .map(|f| match f {
                    Field::Text { name, value } => json!([name, value]),
                    Field::Media { name, id, filename, mime_type } => {
                        json!([name, { "media": id, "filename": filename, "mime_type": mime_type }])
                    }
                })
                .collect();
            out.insert("multipart".into(), fields.into());
        }
    }
    Value::Object(out)
}

/// Pieces as a fixture writes them: text, and what stands for files.
fn pieces_shown(pieces: &[Piece]) -> Value {
    let shown = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
        Piece::Media(id) => json!({ "media": id }),
        Piece::Base64 { of, line } => json!({ "base64": pieces_shown(of), "line": line }),
    };
    pieces.iter().map(shown).collect()
}

/// What an outbound fixture asks for.
pub(super) struct Asked {
    request: SendRequest,
    reply_to: Option<String>,
    handle: Option<String>,
}

impl Asked {
    fn of(case: &Case) -> Self {
        let text = |key: &str| case.value.get(key).and_then(Value::as_str).map(str::to_owned);
        Self { reply_to: text("reply_to"), handle: text("handle"), ..Self::read(&case.value["message"], &case.path) }
    }

    fn read(message: &Value, path: &Path) -> Self {
        let request = SendRequest::deserialize(message).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { request, reply_to: None, handle: None }
    }

    /// A text that can be changed or taken back: to where the provider's fixtures of revisions say.
    fn revisable(provider: &Provider) -> Self {
        let mut asked = Self::sample(provider);
        let case =
            revises(&provider.facts.can).then(|| cases(provider, "revisions")).into_iter().flatten().find(|case| case.name == "recall");
        if let Some(to) = case.and_then(|case| case.value["sent"]["to"].as_str().map(str::to_owned)) {
            asked.request.to = Some(to);
        }
        asked
    }

    fn outbound(&self) -> Outbound<'_> {
        let request = &self.request;
        let (to, thread) = split(request.to.as_deref().expect("fixtures name `to`"));
        Outbound {
            id: "msg_00fixture",
            to,
            thread,
            parts: &request.parts,
            template: if request.parts.is_empty() { request.template.as_ref() } else { None },
            category: request.category,
            reply_to: self.reply_to.as_deref(),
            handle: self.handle.as_deref(),
            author: request.author.as_ref(),
            expires_at: request.expires_at,
            native: &request.native,
        }
    }

    /// A message of somebody else's making, to a person with what reaching her takes.
    pub(super) fn new(message: Value, reply_to: Option<String>, person: &Value) -> Self {
        let request = serde_json::from_value(message).unwrap_or_else(|e| panic!("a sample: {e}"));
        Self { request, reply_to, handle: person.get("handle").and_then(Value::as_str).map(str::to_owned) }
    }

    /// Whom it goes to.
    pub(super) fn person(&self) -> &str {
        self.request.to.as_deref().expect("fixtures name `to`")
    }

    /// What it consists of.
    pub(super) fn parts(&self) -> &[Part<'static>] {
        &self.request.parts
    }

    /// A plain text to an address of the provider's own scheme: its fixture `outbound/text.json`.
    pub(super) fn sample(provider: &Provider) -> Self {
        Self::of(&outbound(provider, "text"))
    }
}

fn outbound(provider: &Provider, name: &str) -> Case {
    let case = cases(provider, "outbound").into_iter().find(|c| c.name == name);
    case.unwrap_or_else(|| panic!("{}: a fixture outbound/{name}.json", provider.facts.id))
}

pub(crate) fn it_renders_what_the_fixtures_say(provider: &Provider) {
    for case in cases(provider, "outbound") {
        match bound(provider, Some(&case.value)).render(&Asked::of(&case)) {
            Ok(rendered) => {
                assert!(rendered.cost >= 1, "{}: costs nothing", case.name);
                assert!(!rendered.calls.is_empty(), "{}: rendered to no call and no error", case.name);
                expect(&case, "error", Value::Null);
                expect(&case, "calls", Value::Array(rendered.calls.iter().map(shown).collect()));
                let downgrades = serde_json::to_value(&rendered.downgrades).expect("plain data");
                expect(&case, "downgrades", if rendered.downgrades.is_empty() { Value::Null } else { downgrades });
                expect(&case, "cost", if rendered.cost == 1 { Value::Null } else { rendered.cost.into() });
            }
            Err(error) => {
                expect(&case, "calls", Value::Null);
                expect(&case, "error", json!({ "pointer": error.pointer, "code": error.code }));
            }
        }
    }
}

/// The call of a revision's fixture.
fn revised(provider: &Provider, case: &Case) -> Option<Result<Call, RenderError>> {
    let text = |name: &str| case.value["sent"].get(name).and_then(Value::as_str);
    let to = text("to").unwrap_or_else(|| panic!("{}: `sent` names `to`", case.name));
    let edit = case.value.get("edit").map(|edit| {
        let mut message = edit.clone();
        message["to"] = to.into();
        Asked::read(&message, &case.path)
    });
    let (to, thread) = split(to);
    let sent = SentMessage { to, thread, provider_id: text("provider_id").unwrap_or_default(), handle: text("handle") };
    bound(provider, Some(&case.value)).revise(&sent, edit.as_ref())
}

pub(crate) fn it_revises_as_the_fixtures_say(provider: &Provider) {
    for case in cases(provider, "revisions") {
        let answer = revised(provider, &case);
        let (call, error) = match &answer {
            Some(Ok(call)) => (shown(call), Value::Null),
            Some(Err(error)) => (Value::Null, json!({ "pointer": error.pointer, "code": error.code })),
            None => (Value::Null, Value::Null),
        };
        expect(&case, "call", call);
        expect(&case, "error", error);
        expect(&case, "none", if answer.is_none() { true.into() } else { Value::Null });
    }
}

/// A text is sent to the twin, changed, and taken back; repeating either changes nothing more, a stranger may do neither, and what
/// is gone cannot be changed.
pub(crate) fn it_revises_what_it_sent(provider: &Provider) {
    let mut pair = on_stage(provider, None);
    let can = pair.adapter.facts().unwrap_or(provider.facts).can;
    for said in [can.edits, can.recalls] {
        assert!(said != Support::Downgraded, "{}: a message can be changed and taken back, or it cannot", provider.facts.id);
    }
    let mut asked = Asked::revisable(provider);
    let rendered = pair.render(&asked).expect("a plain text renders");
    let (verdicts, _) = played(provider, &mut pair, &rendered, "sent");
    let Some(Verdict::Accept { provider_id }) = verdicts.first() else { panic!("{}: not accepted", provider.facts.id) };
    let to = asked.request.to.clone().unwrap_or_default();
    let (to, thread) = split(&to);
    let sent = SentMessage { to, thread, provider_id, handle: None };
    asked.request.parts = vec![Part::text("Changed")];
    for (edit, support) in [(Some(&asked), can.edits), (None, can.recalls)] {
        for name in ["once", "again"] {
            let call = pair.revise(&sent, edit);
            assert_eq!(call.is_some(), support == Support::Native, "{}: edit: {}, against its facts", provider.facts.id, edit.is_some());
            let Some(call) = call else { continue };
            let call = call.unwrap_or_else(|e| panic!("{}: {e}", provider.facts.id));
            let stranger = asked_by_a_stranger(&mut pair, &call);
            assert!(!matches!(stranger, Verdict::Accept { .. }), "{}: a stranger may revise: {stranger:?}", provider.facts.id);
            let rendered = Rendered { calls: vec![call], ..Rendered::default() };
            played(provider, &mut pair, &rendered, name);
            let says = pair.twin.says(provider_id);
            assert_eq!(says.as_deref(), edit.map(|_| "Changed"), "{}: what the twin has {name}", provider.facts.id);
        }
    }
    if let (Some(Ok(call)), Support::Native) = (pair.revise(&sent, Some(&asked)), can.recalls) {
        let late = answered(&mut pair, call);
        assert!(matches!(late, Verdict::Reject(_)), "{}: an edit of what is gone concerns that message alone: {late:?}", provider.facts.id);
    }
}

/// What the twin's answers to a call and those that follow it come to.
fn answered(pair: &mut Pair, mut call: Call) -> Verdict {
    loop {
        let reply = pair.twin.answer(&received(&call), NOW).reply;
        match pair.adapter.classify(&call, &reply) {
            Step::Call(next) => call = next,
            Step::Done(verdict) => return verdict,
        }
    }
}

/// The same with credentials that are none.
fn asked_by_a_stranger(pair: &mut Pair, call: &Call) -> Verdict {
    let mut call = call.clone();
    call.secret_headers.clear();
    call.url_secret = call.url_secret.map(|_| Secret::new("nobody"));
    answered(pair, call)
}

/// The request the twin's host would see for a call.
fn received(call: &Call) -> Request {
    let url = url::Url::parse(&call.full_url()).unwrap_or_else(|e| panic!("{}: {e}", call.url));
    Request {
        method: call.method.clone(),
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        headers: call.header_map(),
        body: bytes::Bytes::copy_from_slice(call.body_bytes()),
    }
}

/// Plays a message to the twin; the verdict and what it emitted.
pub(super) fn played(
    provider: &Provider,
    pair: &mut Pair,
    rendered: &Rendered,
    name: &str,
) -> (Vec<Verdict>, Vec<crate::contract::twin::Emit>) {
    let mut verdicts = Vec::new();
    let mut emits = Vec::new();
    for call in &rendered.calls {
        let mut call = call.clone();
        for _ in 0..5 {
            // Any file will do: the twin looks at the shape of what holds it.
            call = call.assembled(&|_| Some(bytes::Bytes::from_static(crate::kit::sample::PNG))).unwrap_or_else(|e| panic!("{name}: {e}"));
            if matches!(call.body, CallBody::Multipart(_)) {
                return (verdicts, emits); // Files come from the engine's store; the end-to-end stories play these.
            }
            let request = received(&call);
            let answer = pair.twin.answer(&request, NOW);
            emits.extend(answer.emits);
            match pair.adapter.classify(&call, &answer.reply) {
                Step::Call(next) => call = next,
                Step::Done(verdict) => {
                    assert!(
                        matches!(verdict, Verdict::Accept { .. }),
                        "{} {name}: the twin answered {} {}: {verdict:?}",
                        provider.facts.id,
                        answer.reply.status,
                        String::from_utf8_lossy(&answer.reply.body)
                    );
                    verdicts.push(verdict);
                    break;
                }
            }
        }
    }
    (verdicts, emits)
}

pub(crate) fn what_it_renders_the_twin_accepts(provider: &Provider) {
    for case in cases(provider, "outbound") {
        if case.value.get("error").is_some() || case.value.get("not_played").is_some() {
            continue;
        }
        let mut pair = on_stage(provider, Some(&case.value));
        let rendered = pair.render(&Asked::of(&case)).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        played(provider, &mut pair, &rendered, &case.name);
    }
}

pub(crate) fn it_classifies_as_the_fixtures_say(provider: &Provider) {
    let revisions = cases(provider, "revisions");
    let asked = |name: &str| {
        if let Some(case) = revisions.iter().find(|case| case.name == name) {
            let call = revised(provider, case).and_then(Result::ok).unwrap_or_else(|| panic!("{name}: no call"));
            return (bound(provider, Some(&case.value)), call);
        }
        let case = outbound(provider, name);
        let pair = bound(provider, Some(&case.value));
        let call = pair.render(&Asked::of(&case)).expect("the message answered renders").calls.remove(0);
        (pair, call)
    };
    let usual = asked("text");
    for case in cases(provider, "replies") {
        let status = case.value.get("status").and_then(Value::as_u64);
        let status = status.unwrap_or_else(|| panic!("{}: a status", case.name)) as u16;
        let mut reply = match (case.value.get("body"), octets(&case.value)) {
            (Some(body), _) => Reply::json(status, body),
            (None, Some(octets)) => Reply { body: octets.into(), headers: HeaderMap::new(), ..Reply::json(status, &json!(null)) },
            (None, None) => Reply {
                body: case.value.get("text").and_then(Value::as_str).unwrap_or_default().to_owned().into(),
                ..Reply::json(status, &json!(null))
            },
        };
        if let Some(Value::Object(headers)) = case.value.get("headers") {
            for (name, value) in headers {
                reply.headers.insert(
                    HeaderName::try_from(name.as_str()).expect("a name"),
                    HeaderValue::from_str(value.as_str().unwrap_or_default()).expect("a value"),
                );
            }
        }
        let own = case.value.get("answers").and_then(Value::as_str).map(asked);
        let (pair, call) = own.as_ref().unwrap_or(&usual);
        let verdict = match pair.adapter.classify(call, &reply) {
            Step::Call(_) => json!("call"),
            Step::Done(verdict) => described(&verdict),
        };
        expect(&case, "verdict", verdict);
    }
}

fn described(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Accept { provider_id } => json!({ "accept": provider_id }),
        Verdict::Throttle { scope, after, reason } => {
            let mut out = json!({ "scope": scope.word(), "code": reason.code });
            if let Some(after) = after {
                out["after"] = (*after).into();
            }
            json!({ "throttle": out })
        }
        Verdict::Retry(r) => json!({ "retry": r.code }),
        Verdict::Unclear(r) => json!({ "unclear": r.code }),
        Verdict::Reject(r) => json!({ "reject": r.code, "class": r.class.word() }),
        Verdict::Unreachable(r) => json!({ "unreachable": r.code, "class": r.class.word() }),
        Verdict::Gone { reason, current: Some(current) } => json!({ "gone": reason.code, "current": current }),
        Verdict::Gone { reason, current: None } => json!({ "gone": reason.code }),
        Verdict::LogIn(r) => json!({ "log_in": r.code }),
        Verdict::Suspend(r) => json!({ "suspend": r.code, "class": r.class.word() }),
    }
}

pub(crate) fn classify_is_total_and_only_success_is_success(provider: &Provider) {
    let pair = bound(provider, None);
    let mut calls = vec![pair.render(&Asked::sample(provider)).expect("a plain text renders").calls.remove(0)];
    calls.extend(cases(provider, "revisions").iter().filter_map(|case| revised(provider, case)?.ok()));
    let mut bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"<html>".to_vec(),
        b"{}".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        br#"{"ok":true}"#.to_vec(),
        vec![0xff, 0xfe],
    ];
    let replies = cases(provider, "replies");
    bodies.extend(replies.iter().filter_map(|c| serde_json::to_vec(c.value.get("body")?).ok()));
    bodies.extend(replies.iter().filter_map(|c| octets(&c.value)));
    for status in [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY] {
        // Whoever gave up waiting may have the message, and neither refuses it nor asks for a slower pace.
        let Step::Done(verdict) = pair.adapter.classify(&calls[0], &Reply { status, ..Reply::default() }) else { continue };
        assert!(matches!(verdict, Verdict::Unclear(_) | Verdict::Retry(_)), "{}: {status}: {verdict:?}", provider.facts.id);
    }
    for status in (100..600).filter(|s| StatusCode::from_u16(*s).is_ok()) {
        for body in &bodies {
            let reply =
                Reply { status: StatusCode::from_u16(status).expect("in range"), headers: HeaderMap::new(), body: body.clone().into() };
            let accepts = |call| matches!(pair.adapter.classify(call, &reply), Step::Done(Verdict::Accept { .. }));
            if calls.iter().any(accepts) {
                let known = (200..300).contains(&status)
                    || replies.iter().any(|c| c.value["status"] == status && c.value.pointer("/verdict/accept").is_some());
                assert!(known, "{}: status {status} with {:?} counts as success", provider.facts.id, String::from_utf8_lossy(body));
            }
        }
    }
}

pub(crate) fn the_limit_is_counted_in_its_unit(provider: &Provider) {
    let pair = on_stage(provider, None);
    let limit = pair.adapter.facts().unwrap_or(provider.facts).text;
    for letter in ["a", "é", "漢", "😀"] {
        let each = limit.unit.count(letter);
        for extra in [0, 1] {
            let count = limit.max / each + extra;
            let mut asked = Asked::sample(provider);
            asked.request.parts = vec![Part::text(letter.repeat(count))];
            let result = pair.render(&asked);
            if extra == 0 {
                // Over a session a message may be several calls, one for each part that the provider counts.
                let one = |r: &Rendered| if pair.has_session() { r.shown.len() } else { r.calls.len() };
                assert_eq!(result.as_ref().map(one), Ok(1), "{count} of {letter} fit into one message");
            } else if let Ok(rendered) = result {
                // A call may carry several messages; `shown` has a line for each.
                let messages = if pair.has_session() { rendered.shown.len() } else { rendered.calls.len().max(rendered.shown.len()) };
                assert!(messages > 1, "{}: {count} of {letter} are too long for one message", provider.facts.id);
            }
        }
    }
}

/// Every text in a setting, however deep.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, out)),
        _ => {}
    }
}

/// Every secret of the twin's settings.
fn secrets(provider: &Provider) -> Vec<String> {
    let schema = (provider.schema)();
    let mut secrets = Vec::new();
    for (key, value) in (provider.twin)(7).settings() {
        let secret = schema.pointer(&format!("/properties/{key}")).is_some_and(|p| p.to_string().contains("writeOnly"));
        if secret {
            texts(&value, &mut secrets);
        }
    }
    secrets
}

pub(crate) fn no_secret_prints(provider: &Provider) {
    let twin = (provider.twin)(7);
    let secrets = secrets(provider);
    let pair = bound(provider, None);
    for case in cases(provider, "outbound") {
        let text = match pair.render(&Asked::of(&case)) {
            Ok(rendered) => format!("{rendered:?} {}", Value::Array(rendered.calls.iter().map(shown).collect())),
            Err(error) => format!("{error} {error:?}"),
        };
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{}: a secret stands in {text}", case.name);
        }
    }
    for case in cases(provider, "revisions") {
        let Some(Ok(call)) = revised(provider, &case) else { continue };
        let text = format!("{call:?} {}", shown(&call));
        assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{}: a secret stands in {text}", case.name);
    }
    for key in twin.settings().keys() {
        // A wrong type must not quote the value.
        let mut broken = twin.settings();
        broken.insert(key.clone(), json!({ "hunter2": "hunter2-secret" }));
        if let Err(error) = (provider.bind)(Settings(broken)) {
            assert!(!format!("{error} {error:?}").contains("hunter2-secret"), "{key}: its error quotes the value");
        }
    }
}

pub(crate) fn a_round_trip_ends_in_the_receipt_it_announced(provider: &Provider) {
    let mut pair = on_stage(provider, None);
    let rendered = pair.render(&Asked::sample(provider)).expect("a plain text renders");
    let (verdicts, emits) = played(provider, &mut pair, &rendered, "round trip");
    let Some(Verdict::Accept { provider_id }) = verdicts.first() else { panic!("{}: not accepted", provider.facts.id) };
    if pair.adapter.facts().unwrap_or(provider.facts).strongest < State::Delivered {
        return;
    }
    let mut states = Vec::new();
    for emit in emits {
        let url = emit.url.clone().unwrap_or_else(|| HOOK.to_owned());
        let draft = pair.twin.sign(&url, emit.draft);
        let headers = headers(&draft);
        let query = url.split_once('?').map_or(draft.query.as_str(), |(_, q)| q).to_owned();
        let hook = Webhook { method: &draft.method, url: &url, query: &query, headers: &headers, body: &draft.body };
        let verified = pair.verify(hook).unwrap_or_else(|e| panic!("{}: the twin's receipt is refused: {e:?}", provider.facts.id));
        for event in pair.adapter.parse(&verified, &pair.context()).events {
            if let Body::Receipt(receipt) = event.body {
                assert!(
                    receipt.provider_message_id == provider_id.as_str() || receipt.watermark.is_some() || receipt.message_id.is_some(),
                    "{}: a receipt names {} and not {provider_id}",
                    provider.facts.id,
                    receipt.provider_message_id
                );
                states.push(receipt.state);
            }
        }
    }
    assert!(states.iter().any(|s| *s >= State::Delivered && *s <= State::Read), "{}: receipts end in {states:?}", provider.facts.id);
}

/// The links of every combination are opened at the twin, which knows the provider's own form of them.
pub(crate) fn a_link_brings_people_and_their_referral(provider: &Provider) {
    let id = provider.facts.id;
    let person = Asked::sample(provider).request.to.clone().unwrap_or_default();
    let most = "x".repeat(entry::REFERRAL);
    for referral in [None, Some("spring-flyer_7"), Some("A"), Some(&*most)] {
        for text in [None, Some("Hi! A table for 2 & more, 100 % sure?\n#1 = ü 🎉")] {
            let mut pair = on_stage(provider, None);
            let Some(link) = pair.adapter.entry(&Entry { referral, text }) else {
                assert!(pair.twin.open(&person, "", NOW).is_empty());
                return;
            };
            let link = link.unwrap_or_else(|e| panic!("{id}: the twin's settings have what its link is made of: {e}"));
            let url = url::Url::parse(&link.url).unwrap_or_else(|e| panic!("{id}: {} is no URL: {e}", link.url));
            assert!(matches!(url.scheme(), "https" | "sms" | "mailto" | "viber"), "{id}: {url}");
            assert!(link.url.bytes().all(|b| b.is_ascii_graphic()), "{id}: {} is not escaped", link.url);
            for secret in secrets(provider) {
                assert!(!link.url.contains(&secret), "{id}: a secret stands in {}", link.url);
            }
            assert!(link.referral.is_none() || link.referral.as_deref() == referral, "{id}: {link:?} has another referral");
            // What is asked for and not to be had is said.
            let left_out = (referral.is_some() && link.referral.is_none()) || (text.is_some() && link.text.is_none());
            assert!(!left_out || !link.notes.is_empty(), "{id}: {link:?} says nothing of what it leaves out");
            let drafts = pair.twin.open(&person, &link.url, NOW);
            let (mut referrals, mut words) = (Vec::new(), Vec::new());
            for draft in if pair.has_session() { joined(drafts) } else { drafts } {
                let draft = pair.twin.sign(&url_of(&draft.query), draft);
                with_hook(&draft, |hook| {
                    let verified = pair.verify(hook).unwrap_or_else(|e| panic!("{id}: the twin's delivery is refused: {e:?}"));
                    for event in pair.adapter.parse(&verified, &pair.context()).events {
                        let referral = match event.body {
                            Body::Received(received) => {
                                words.extend(received.message.parts.iter().filter_map(|part| match part {
                                    Part::Text(text) => Some(text.text.to_string()),
                                    _ => None,
                                }));
                                received.message.referral
                            }
                            Body::Followed(follow) => follow.referral,
                            _ => None,
                        };
                        referrals.extend(referral.and_then(|r| Some((r.kind.as_deref() == Some("link"), r.payload?.into_owned()))));
                    }
                });
            }
            referrals.dedup();
            let wanted: Vec<_> = link.referral.iter().map(|referral| (true, referral.clone())).collect();
            assert_eq!(referrals, wanted, "{id}: opened by {}", link.url);
            if let Some(text) = &link.text {
                assert!(words.contains(text), "{id}: {words:?} is not {text:?}");
            }
        }
    }
}

/// A session hands in the parts of a long message as one delivery.
fn joined(drafts: Vec<Draft>) -> Vec<Draft> {
    let whole = drafts.into_iter().reduce(|mut whole, part| {
        whole.body.extend(part.body);
        whole
    });
    whole.into_iter().collect()
}

pub(crate) fn its_links_are_as_the_fixtures_say(provider: &Provider) {
    for case in cases(provider, "links") {
        let word = |key: &str| case.value.get(key).and_then(Value::as_str);
        let entry = Entry { referral: word("referral"), text: word("text") };
        let (mut link, mut error) = (Value::Null, Value::Null);
        match bound(provider, Some(&case.value)).adapter.entry(&entry) {
            Some(Ok(made)) => link = json!({ "url": made.url, "referral": made.referral, "text": made.text, "notes": made.notes }),
            Some(Err(e)) => error = json!({ "pointer": e.pointer, "code": e.code, "problem": e.problem }),
            None => {}
        }
        expect(&case, "link", link);
        expect(&case, "error", error);
    }
}

pub(crate) fn its_facts_are_complete(provider: &Provider) {
    let facts = provider.facts;
    assert!(provider.folder.ends_with(facts.id), "the folder is the id");
    assert!(!facts.schemes.is_empty() && !facts.mediums.is_empty() && facts.text.max > 0 && facts.concurrency > 0);
    for pace in facts.paces {
        assert!(pace.count > 0 && pace.window_ms > 0 && pace.burst > 0, "{pace:?}");
        assert!(pace.source.contains("20"), "{}: a number without its source and day: {pace:?}", facts.id);
    }
    let schema = (provider.schema)();
    assert!(schema.pointer("/properties/api_base").is_some(), "{}: the base URL can be overridden by `api_base`", facts.id);
}

pub(crate) fn an_unknown_setting_names_the_nearest(provider: &Provider) {
    let twin = (provider.twin)(7);
    let mut map = twin.settings();
    map.insert("api_bse".into(), "x".into());
    let Err(error) = (provider.bind)(Settings(map)) else { panic!("an unknown key passed") };
    assert!(error.to_string().contains("api_base"), "{error}");
}
