//! Filters: which contacts an audience is made of, as a small fixed language in JSON.
//!
//! ```json
//! {"all": [{"attribute": "plan", "is": "gold"}, {"locale": ["de", "pt-BR"]}, {"last_inbound": {"within": "30d"}},
//!          {"not": {"campaign": "cmp_...", "states": ["read"], "answered": true}}]}
//! ```
//!
//! A filter is checked and compiled into a [`Test`] for one moment: `30d` is thirty days before it. A test looks at one contact
//! and at what is known of it, in memory, so that both stores give the same people.

use std::collections::HashMap;

use fairway_adapters::contract::{State, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use super::{Wrong, when};
use crate::config::units::Span as Units;
use crate::people::traffic::Traffic;
use crate::people::{Contact, address};

/// A condition over contacts: exactly one of `all`, `any`, `not`, `attribute`, `locale`, `country`, `has_address`, `created`,
/// `last_inbound`, `last_read` and `campaign`, with the words that go with it.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AudienceFilter)]
pub struct Filter {
    /// Every one of these conditions holds.
    #[schema(no_recursion)]
    pub all: Option<Vec<Filter>>,
    /// At least one of these conditions holds.
    #[schema(no_recursion)]
    pub any: Option<Vec<Filter>>,
    /// This condition does not hold.
    #[schema(no_recursion)]
    pub not: Option<Box<Filter>>,
    /// The contact's attribute of this name; say at least one of `is`, `at_least`, `at_most`, `contains` and `exists` with it.
    pub attribute: Option<String>,
    /// The attribute has this value, or one of these. A number and the text of it are the same.
    pub is: Option<Value>,
    /// The attribute is this number or a larger one; with a text (a date), this text or a later one in the alphabet.
    pub at_least: Option<Value>,
    /// The attribute is this number or a smaller one; with a text (a date), this text or an earlier one in the alphabet.
    pub at_most: Option<Value>,
    /// The attribute is a text that contains this one, whatever the case, or a list that holds this value.
    pub contains: Option<Value>,
    /// Whether the contact has the attribute at all.
    pub exists: Option<bool>,
    /// The contact's locale is this one or one of these; `de` means `de-AT` too.
    pub locale: Option<Texts>,
    /// The contact lives in this country or one of these; ISO 3166-1.
    pub country: Option<Texts>,
    /// The contact has an address of this scheme or one of these (`tel`, `mailto`, ...) that works.
    pub has_address: Option<Texts>,
    /// When the gateway first heard of the contact.
    pub created: Option<Ago>,
    /// When the contact last wrote to us, on any of its addresses.
    pub last_inbound: Option<Ago>,
    /// When the contact last read a message of ours, as far as its channels tell.
    pub last_read: Option<Ago>,
    /// The contact is among the people of this campaign.
    pub campaign: Option<String>,
    /// Its state there is one of these; when absent, the contact was written to.
    pub states: Option<Vec<String>>,
    /// Whether it is only meant when it reached none of the campaign's goals.
    pub without_goal: Option<bool>,
    /// Whether it wrote to us, anything, since the campaign wrote to it.
    pub answered: Option<bool>,
}

/// A text or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "a text, or a list of texts, was expected")]
#[schema(as = FilterTexts)]
pub enum Texts {
    /// One.
    One(String),
    /// Any of these.
    Several(Vec<String>),
}

/// How long ago something last happened: `30d`, `12h`, or as ISO 8601 `P30D`. Say `within`, `before`, both, or `never`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FilterAgo)]
pub struct Ago {
    /// It happened since so long ago.
    pub within: Option<String>,
    /// It happened, and the last time is longer ago than this.
    pub before: Option<String>,
    /// It never happened.
    pub never: Option<bool>,
}

/// What a condition is about, and the words that go with each.
const SUBJECTS: [(&str, &[&str]); 11] = [
    ("all", &[]),
    ("any", &[]),
    ("not", &[]),
    ("attribute", &["is", "at_least", "at_most", "contains", "exists"]),
    ("locale", &[]),
    ("country", &[]),
    ("has_address", &[]),
    ("created", &[]),
    ("last_inbound", &[]),
    ("last_read", &[]),
    ("campaign", &["states", "without_goal", "answered"]),
];

/// States of a campaign's people that no message has.
const OWN_STATES: [&str; 4] = ["holdout", "unreachable", "waiting", "planned"];

/// A filter that makes sense, at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Every one holds.
    All(Vec<Test>),
    /// One holds.
    Any(Vec<Test>),
    /// It does not hold.
    Not(Box<Test>),
    /// The attribute passes all of these.
    Attribute(String, Vec<Asked>),
    /// One of these locales.
    Locale(Vec<String>),
    /// One of these countries.
    Country(Vec<String>),
    /// An address of one of these schemes.
    Scheme(Vec<String>),
    /// Something happened then.
    When(Fact, Span),
    /// A place in a campaign.
    Campaign(Place),
}

/// What is asked of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// One of these values.
    Is(Vec<Value>),
    /// This or more.
    AtLeast(Value),
    /// This or less.
    AtMost(Value),
    /// This in it.
    Contains(Value),
    /// Whether it is there.
    Exists(bool),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The contact came.
    Created,
    /// A message of theirs came.
    Wrote,
    /// They read.
    Read,
}

/// When: from and before, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: Option<Time>,
    before: Option<Time>,
    never: bool,
}

/// What is asked of a contact's place in a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    campaign: String,
    states: Vec<String>,
    without_goal: bool,
    answered: Option<bool>,
}

/// A contact's row in a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got {
    /// The campaign.
    pub campaign: String,
    /// Where it stands.
    pub state: String,
    /// Whether a message was named.
    pub written: bool,
    /// Whether a goal was reached.
    pub goal: bool,
    /// When the message was named.
    pub sent_at: Option<Time>,
}

/// What is known of one contact.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// The contact.
    pub contact: &'k Contact,
    /// What it did, all addresses together.
    pub traffic: Traffic,
    /// Its rows in the campaigns that are asked about.
    pub got: &'k [Got],
}

/// What has to be looked up before a test can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// What addresses did.
    pub traffic: bool,
    /// Rows of these campaigns.
    pub campaigns: Vec<String>,
}

impl Filter {
    /// Checks a filter and compiles it for a moment; the error names the place below `pointer`.
    pub fn test(&self, now: Time, pointer: &str) -> Result<Test, Wrong> {
        let subject = self.subject(pointer)?;
        let at = format!("{pointer}/{subject}");
        if let Some(name) = &self.attribute {
            return self.attribute(name, pointer);
        }
        let each = |list: &[Self]| -> Result<Vec<Test>, Wrong> {
            if list.is_empty() {
                return Err(Wrong::at(at.as_str(), "missing", "name at least one condition"));
            }
            list.iter().enumerate().map(|(n, f)| f.test(now, &format!("{at}/{n}"))).collect()
        };
        if let Some(list) = &self.all {
            return each(list).map(Test::All);
        }
        if let Some(list) = &self.any {
            return each(list).map(Test::Any);
        }
        if let Some(inner) = &self.not {
            return Ok(Test::Not(Box::new(inner.test(now, &at)?)));
        }
        if let Some(locales) = &self.locale {
            return Ok(Test::Locale(locales.list(&at)?));
        }
        if let Some(countries) = &self.country {
            return Ok(Test::Country(countries.list(&at)?.iter().map(|c| c.to_ascii_uppercase()).collect()));
        }
        if let Some(schemes) = &self.has_address {
            return Ok(Test::Scheme(schemes.list(&at)?));
        }
        if let Some(id) = &self.campaign {
            return self.place(id, pointer).map(Test::Campaign);
        }
        let facts = [(Fact::Created, &self.created), (Fact::Wrote, &self.last_inbound), (Fact::Read, &self.last_read)];
        let fact = facts.into_iter().find_map(|(fact, ago)| Some((fact, ago.as_ref()?)));
        let (fact, ago) = fact.ok_or_else(|| nothing(pointer))?;
        ago.span(now, &at).map(|span| Test::When(fact, span))
    }

    /// The campaigns it asks about, each with its place below `pointer`.
    pub fn campaigns(&self, pointer: &str) -> Vec<(String, &str)> {
        let mut found: Vec<_> = self.campaign.iter().map(|id| (format!("{pointer}/campaign"), id.as_str())).collect();
        for (word, list) in [("all", &self.all), ("any", &self.any)] {
            let inner = list.iter().flatten().enumerate();
            found.extend(inner.flat_map(|(n, f)| f.campaigns(&format!("{pointer}/{word}/{n}"))));
        }
        found.extend(self.not.iter().flat_map(|f| f.campaigns(&format!("{pointer}/not"))));
        found
    }

    /// The one word that says what this condition is about; the others must go with it.
    fn subject(&self, pointer: &str) -> Result<&'static str, Wrong> {
        let value = serde_json::to_value(self).unwrap_or_default();
        let words: Vec<&str> = value.as_object().into_iter().flatten().map(|(word, _)| word.as_str()).collect();
        let mut subjects = SUBJECTS.iter().filter(|(subject, _)| words.contains(subject));
        let (subject, own) = subjects.next().ok_or_else(|| nothing(pointer))?;
        if let Some((other, _)) = subjects.next() {
            let detail = format!("a condition is about one thing; put `{subject}` and `{other}` into two, joined by `all` or `any`");
            return Err(Wrong::at(format!("{pointer}/{other}"), "condition_ambiguous", detail));
        }
        match words.iter().find(|word| *word != subject && !own.contains(word)) {
            Some(word) => Err(Wrong::at(format!("{pointer}/{word}"), "field_misplaced", format!("`{word}` does not go with `{subject}`"))),
            None => Ok(subject),
        }
    }

    fn attribute(&self, name: &str, pointer: &str) -> Result<Test, Wrong> {
        let mut asked = Vec::new();
        if let Some(is) = &self.is {
            let values = is.as_array().cloned().unwrap_or_else(|| vec![is.clone()]);
            if values.is_empty() || values.iter().any(|v| v.is_object() || v.is_array()) {
                return Err(Wrong::at(format!("{pointer}/is"), "value_invalid", "write a value, or a list of values"));
            }
            asked.push(Asked::Is(values));
        }
        for (word, bound, make) in
            [("at_least", &self.at_least, Asked::AtLeast as fn(Value) -> Asked), ("at_most", &self.at_most, Asked::AtMost)]
        {
            match bound {
                None => {}
                Some(bound) if bound.is_number() || bound.is_string() => asked.push(make(bound.clone())),
                Some(_) => return Err(Wrong::at(format!("{pointer}/{word}"), "value_invalid", "write a number, or a text such as a date")),
            }
        }
        asked.extend(self.contains.clone().map(Asked::Contains));
        asked.extend(self.exists.map(Asked::Exists));
        if asked.is_empty() {
            let detail = "say what is asked of it: `is`, `at_least`, `at_most`, `contains` or `exists`";
            return Err(Wrong::at(format!("{pointer}/attribute"), "missing", detail));
        }
        Ok(Test::Attribute(name.to_owned(), asked))
    }

    fn place(&self, campaign: &str, pointer: &str) -> Result<Place, Wrong> {
        let states = self.states.clone().unwrap_or_default();
        let known = |state: &String| OWN_STATES.contains(&state.as_str()) || State::ALL.iter().any(|s| s.word() == state);
        if let Some((n, state)) = states.iter().enumerate().find(|(_, s)| !known(s)) {
            let detail = format!("people of a campaign have no state `{state}`; write sent, delivered, read, failed, ...");
            return Err(Wrong::at(format!("{pointer}/states/{n}"), "state_unknown", detail));
        }
        let without_goal = self.without_goal.unwrap_or(false);
        Ok(Place { campaign: campaign.to_owned(), states, without_goal, answered: self.answered })
    }
}

fn nothing(pointer: &str) -> Wrong {
    let subjects: Vec<&str> = SUBJECTS.iter().map(|(subject, _)| *subject).collect();
    Wrong::at(pointer, "condition_missing", format!("say what the condition is about: one of {}", subjects.join(", ")))
}

impl Texts {
    fn list(&self, pointer: &str) -> Result<Vec<String>, Wrong> {
        let list = match self {
            Self::One(text) => vec![text.clone()],
            Self::Several(texts) => texts.clone(),
        };
        match list.iter().all(|text| !text.is_empty()) && !list.is_empty() {
            true => Ok(list),
            false => Err(Wrong::at(pointer, "missing", "name at least one")),
        }
    }
}

impl Ago {
    fn span(&self, now: Time, pointer: &str) -> Result<Span, Wrong> {
        let ago = |word: &str, text: &Option<String>| text.as_deref().map(|t| back(now, t, &format!("{pointer}/{word}"))).transpose();
        let never = self.never.unwrap_or(false);
        let span = Span { from: ago("within", &self.within)?, before: ago("before", &self.before)?, never };
        let bounded = span.from.is_some() || span.before.is_some();
        if bounded == never {
            return Err(Wrong::at(pointer, "span_invalid", "say `within`, `before` or both, or `\"never\": true` alone"));
        }
        if span.from.zip(span.before).is_some_and(|(from, before)| from >= before) {
            let detail = "nothing is longer ago than `before` and within less; `within` is the longer time of the two";
            return Err(Wrong::at(pointer, "span_invalid", detail));
        }
        Ok(span)
    }
}

/// The moment so long before another.
fn back(now: Time, text: &str, pointer: &str) -> Result<Time, Wrong> {
    let millis = text.parse::<Units>().map(Units::millis).or_else(|_| when::span(text, pointer)).map_err(|_| {
        Wrong::at(pointer, "duration_invalid", format!("`{text}` is no span of time; write 30d, 12h, or P30D as ISO 8601 has it"))
    })?;
    Ok(Time(now.0.saturating_sub(millis)))
}

impl Span {
    fn holds(self, at: Option<Time>) -> bool {
        match at {
            None => self.never,
            Some(at) => !self.never && self.from.is_none_or(|from| at >= from) && self.before.is_none_or(|before| at < before),
        }
    }
}

impl Test {
    /// What has to be looked up for it.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.ask(&mut needs);
        needs
    }

    fn ask(&self, needs: &mut Needs) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|t| t.ask(needs)),
            Self::Not(test) => test.ask(needs),
            Self::When(fact, _) => needs.traffic |= *fact != Fact::Created,
            Self::Campaign(place) => {
                needs.traffic |= place.answered.is_some();
                if !needs.campaigns.contains(&place.campaign) {
                    needs.campaigns.push(place.campaign.clone());
                }
            }
            Self::Attribute(..) | Self::Locale(_) | Self::Country(_) | Self::Scheme(_) => {}
        }
    }

    /// Whether a contact is meant.
    pub fn holds(&self, known: Known<'_>) -> bool {
        let contact = known.contact;
        match self {
            Self::All(tests) => tests.iter().all(|t| t.holds(known)),
            Self::Any(tests) => tests.iter().any(|t| t.holds(known)),
            Self::Not(test) => !test.holds(known),
            Self::Attribute(name, asked) => {
                let value = contact.attributes.get(name).filter(|v| !v.is_null());
                asked.iter().all(|a| a.holds(value))
            }
            Self::Locale(locales) => locales.iter().any(|l| contact.speaks(l)),
            Self::Country(countries) => contact.country.as_ref().is_some_and(|c| countries.contains(c)),
            Self::Scheme(schemes) => contact.reachable_at().any(|a| schemes.iter().any(|s| s == address::scheme(a))),
            Self::When(Fact::Created, span) => span.holds(Some(contact.created_at)),
            Self::When(Fact::Wrote, span) => span.holds(known.traffic.wrote),
            Self::When(Fact::Read, span) => span.holds(known.traffic.read),
            Self::Campaign(place) => known.got.iter().any(|got| place.holds(got, known.traffic)),
        }
    }
}

impl Place {
    fn holds(&self, got: &Got, traffic: Traffic) -> bool {
        let answered = got.sent_at.is_some_and(|sent| traffic.wrote.is_some_and(|wrote| wrote > sent));
        got.campaign == self.campaign
            && if self.states.is_empty() { got.written } else { self.states.contains(&got.state) }
            && !(self.without_goal && got.goal)
            && self.answered.is_none_or(|wanted| wanted == answered)
    }
}

impl Asked {
    fn holds(&self, value: Option<&Value>) -> bool {
        if let Self::Exists(wanted) = self {
            return value.is_some() == *wanted;
        }
        let Some(value) = value else { return false };
        match self {
            Self::Is(values) => values.iter().any(|v| same(v, value)),
            Self::AtLeast(bound) => compare(value, bound).is_some_and(std::cmp::Ordering::is_ge),
            Self::AtMost(bound) => compare(value, bound).is_some_and(std::cmp::Ordering::is_le),
            Self::Contains(part) => contains(value, part),
            Self::Exists(_) => true,
        }
    }
}

/// A value as a number. Files bring numbers as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// Whether two values are the same: a number, or `true`, and the text of it are.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Number(_), _) | (_, Value::Number(_)) => number(wanted).is_some() && number(wanted) == number(value),
        (Value::Bool(flag), Value::String(text)) | (Value::String(text), Value::Bool(flag)) => *text == flag.to_string(),
        _ => wanted == value,
    }
}

/// How a value stands to a bound: by number when the bound is one, else by the alphabet.
fn compare(value: &Value, bound: &Value) -> Option<std::cmp::Ordering> {
    match bound {
        Value::Number(_) => number(value)?.partial_cmp(&number(bound)?),
        Value::String(bound) => Some(value.as_str()?.cmp(bound)),
        _ => None,
    }
}

fn contains(value: &Value, part: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|v| same(part, v)),
        Value::String(text) => part.as_str().is_some_and(|part| text.to_lowercase().contains(&part.to_lowercase())),
        _ => false,
    }
}

/// What is known of contacts' places in campaigns, by address.
pub type Places = HashMap<String, Vec<Got>>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::people::Address;

    const DAY: i64 = 86_400_000;

    fn test(filter: Value) -> Result<Test, Wrong> {
        let filter: Filter = serde_json::from_value(filter).expect("its words are known");
        filter.test(Time(1000 * DAY), "#/filter")
    }

    fn contact() -> Contact {
        let live = Address { address: "tel:+491701234567".into(), ..Address::default() };
        let gone = Address { address: "mailto:ana@example.org".into(), gone_at: Some(Time(1)), ..Address::default() };
        let attributes =
            json!({ "plan": "gold", "age": "42", "score": 7.5, "vip": true, "born": "1984-03-01", "tags": ["a", 3], "none": null });
        Contact {
            locale: Some("de-AT".into()),
            country: Some("AT".into()),
            addresses: vec![gone, live],
            attributes: attributes.as_object().cloned().expect("an object"),
            created_at: Time(990 * DAY),
            ..Contact::default()
        }
    }

    #[test]
    fn every_condition_says_yes_and_no() {
        let contact = contact();
        let got = [Got { campaign: "cmp_1".into(), state: "read".into(), written: true, goal: true, sent_at: Some(Time(980 * DAY)) }];
        let traffic = Traffic { wrote: Some(Time(985 * DAY)), read: None };
        let holds = |filter: Value| test(filter).expect("it makes sense").holds(Known { contact: &contact, traffic, got: &got });
        let yes = [
            json!({ "attribute": "plan", "is": "gold" }),
            json!({ "attribute": "plan", "is": ["silver", "gold"] }),
            json!({ "attribute": "age", "is": 42 }),
            json!({ "attribute": "age", "at_least": 18, "at_most": 42 }),
            json!({ "attribute": "score", "is": "7.5" }),
            json!({ "attribute": "vip", "is": "true" }),
            json!({ "attribute": "born", "at_most": "1990-01-01" }),
            json!({ "attribute": "tags", "contains": 3 }),
            json!({ "attribute": "plan", "contains": "OL" }),
            json!({ "attribute": "none", "exists": false }),
            json!({ "locale": "de" }),
            json!({ "locale": ["pt", "de-AT"] }),
            json!({ "country": ["at"] }),
            json!({ "has_address": "tel" }),
            json!({ "created": { "within": "11d" } }),
            json!({ "last_inbound": { "within": "P15D" } }),
            json!({ "last_inbound": { "within": "16d", "before": "14d" } }),
            json!({ "last_read": { "never": true } }),
            json!({ "campaign": "cmp_1" }),
            json!({ "campaign": "cmp_1", "states": ["read"], "answered": true }),
            json!({ "all": [{ "locale": "de" }, { "any": [{ "locale": "pt" }, { "not": { "campaign": "cmp_2" } }] }] }),
        ];
        for filter in yes {
            assert!(holds(filter.clone()), "{filter}");
            assert!(!holds(json!({ "not": filter.clone() })), "not {filter}");
        }
        for filter in [
            json!({ "attribute": "age", "at_least": 43 }),
            json!({ "attribute": "plan", "at_least": 1 }),
            json!({ "attribute": "missing", "at_most": 1 }),
            json!({ "attribute": "missing", "is": "x" }),
            json!({ "locale": "d" }),
            json!({ "has_address": "mailto" }),
            json!({ "last_inbound": { "within": "14d" } }),
            json!({ "last_inbound": { "never": true } }),
            json!({ "last_read": { "before": "1d" } }),
            json!({ "campaign": "cmp_1", "without_goal": true }),
            json!({ "campaign": "cmp_1", "answered": false }),
            json!({ "campaign": "cmp_1", "states": ["sent"] }),
        ] {
            assert!(!holds(filter.clone()), "{filter}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_place() {
        for (filter, pointer, code) in [
            (json!({}), "#/filter", "condition_missing"),
            (json!({ "is": "x" }), "#/filter", "condition_missing"),
            (json!({ "all": [] }), "#/filter/all", "missing"),
            (json!({ "all": [{ "locale": "de", "country": "AT" }] }), "#/filter/all/0/country", "condition_ambiguous"),
            (json!({ "not": { "locale": "de", "is": 1 } }), "#/filter/not/is", "field_misplaced"),
            (json!({ "attribute": "plan" }), "#/filter/attribute", "missing"),
            (json!({ "attribute": "plan", "is": [] }), "#/filter/is", "value_invalid"),
            (json!({ "attribute": "plan", "at_least": true }), "#/filter/at_least", "value_invalid"),
            (json!({ "locale": [] }), "#/filter/locale", "missing"),
            (json!({ "any": [{ "last_read": { "within": "soon" } }] }), "#/filter/any/0/last_read/within", "duration_invalid"),
            (json!({ "last_read": {} }), "#/filter/last_read", "span_invalid"),
            (json!({ "last_read": { "never": true, "before": "1d" } }), "#/filter/last_read", "span_invalid"),
            (json!({ "last_read": { "within": "1d", "before": "2d" } }), "#/filter/last_read", "span_invalid"),
            (json!({ "campaign": "cmp_1", "states": ["sent", "eaten"] }), "#/filter/states/1", "state_unknown"),
        ] {
            let wrong = test(filter.clone()).expect_err("it makes no sense");
            assert_eq!((wrong.pointer.as_str(), wrong.code), (pointer, code), "{filter}");
        }
    }

    #[test]
    fn only_what_is_asked_has_to_be_looked_up() {
        let needs = |filter: Value| test(filter).expect("it makes sense").needs();
        assert_eq!(needs(json!({ "all": [{ "locale": "de" }, { "created": { "within": "1d" } }] })), Needs::default());
        let all = needs(json!({ "any": [{ "campaign": "cmp_1" }, { "not": { "campaign": "cmp_1", "answered": true } }] }));
        assert_eq!(all, Needs { traffic: true, campaigns: vec!["cmp_1".into()] });
    }
}
