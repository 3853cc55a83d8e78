//! Words with a person's data in them: every text of a JSON value is a template of its own, compiled once, rendered per person.
//!
//! Only texts are templates, so whatever a person is called, the shape of the message stays. Rendering has a budget of
//! instructions; nothing of the machine can be reached from it.

use std::sync::Arc;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};
use serde_json::{Map, Value};

use super::Wrong;
use super::links::{self, Linker};

/// Instructions one text may take: enough for a loop over a long order, too few to hold up a campaign.
const FUEL: u64 = 20_000;

/// What an attribute that a person lacks becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: for sending, where the lint has told of it before.
    Empty,
    /// An error, unless it is asked for by `if` or `default`.
    Error,
}

/// A JSON value whose texts are templates.
pub struct Compiled {
    environment: Environment<'static>,
    value: Value,
    /// Pointers of the texts that are templates.
    texts: Vec<String>,
}

impl Compiled {
    /// Compiles every text of a value; the error names its place below `pointer`.
    pub fn new(value: Value, missing: Missing, pointer: &str, links: Option<&Arc<Linker>>) -> Result<Self, Wrong> {
        let mut environment = environment(missing);
        add_link(&mut environment, links.cloned());
        let mut texts = Vec::new();
        collect(&value, &mut String::new(), &mut texts);
        for place in &texts {
            let source = value.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
            environment
                .add_template_owned(place.clone(), source)
                .map_err(|e| Wrong::at(format!("{pointer}{place}"), "template_invalid", told(&e)))?;
        }
        Ok(Self { environment, value, texts })
    }

    /// The value with a person's data in it. The error says what was missing and where.
    pub fn render(&self, data: &minijinja::Value) -> Result<Value, Wrong> {
        let mut value = self.value.clone();
        for place in &self.texts {
            let rendered = self.environment.get_template(place).and_then(|t| t.render(data.clone()));
            let text = rendered.map_err(|e| Wrong::at(format!("#{place}"), "template_failed", told(&e)))?;
            if let Some(slot) = value.pointer_mut(place) {
                *slot = Value::String(text);
            }
        }
        Ok(value)
    }

    /// The names a value asks for, such as `contact.city`.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .texts
            .iter()
            .filter_map(|place| self.environment.get_template(place).ok())
            .flat_map(|t| t.undeclared_variables(true))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Data as templates see it.
pub fn values(data: &impl serde::Serialize) -> minijinja::Value {
    minijinja::value::Serde(data).into()
}

/// A condition: true or false over some data.
pub struct Condition(Environment<'static>, String);

impl Condition {
    /// Compiles an expression; the error names `pointer`.
    pub fn new(source: &str, pointer: &str) -> Result<Self, Wrong> {
        let environment = environment(Missing::Empty);
        environment.compile_expression_owned(source.to_owned()).map_err(|e| Wrong::at(pointer, "expression_invalid", told(&e)))?;
        Ok(Self(environment, source.to_owned()))
    }

    /// Whether it holds. What cannot be evaluated does not hold.
    pub fn holds(&self, data: &Value) -> bool {
        let data = values(data);
        self.0.compile_expression_owned(self.1.clone()).and_then(|e| e.eval(data)).is_ok_and(|v| v.is_true())
    }
}

fn environment(missing: Missing) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(match missing {
        Missing::Empty => UndefinedBehavior::Chainable,
        Missing::Error => UndefinedBehavior::SemiStrict,
    });
    environment
}

/// `link` shortens an address where there is somebody to count it for; elsewhere the address stays as it is.
fn add_link(environment: &mut Environment<'static>, links: Option<Arc<Linker>>) {
    environment.add_filter("link", move |state: &State<'_, '_>, url: String| {
        let whose = state.lookup(links::WHOSE).filter(|v| !v.is_undefined());
        let made = match (&links, whose) {
            (Some(linker), Some(whose)) => linker.link(&url, &whose.to_string()),
            _ => links::check(&url).map(|()| url),
        };
        made.map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
    });
}

fn told(e: &minijinja::Error) -> String {
    let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
    let line = e.line().filter(|l| *l > 1).map(|l| format!(" in line {l}")).unwrap_or_default();
    format!("{}{detail}{line}", e.kind())
}

/// Pointers of all texts that hold a template.
fn collect(value: &Value, place: &mut String, into: &mut Vec<String>) {
    let length = place.len();
    match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") || text.contains("{#") => into.push(place.clone()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                place.push_str(&format!("/{index}"));
                collect(item, place, into);
                place.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                place.push('/');
                place.push_str(&key.replace('~', "~0").replace('/', "~1"));
                collect(item, place, into);
                place.truncate(length);
            }
        }
        _ => {}
    }
}

/// Of the names a content asks for, those that some data lacks.
pub fn lacking(names: &[String], data: &Map<String, Value>) -> Vec<String> {
    let lacks = |name: &&String| {
        let mut parts = name.split('.');
        let mut at = parts.next().and_then(|first| data.get(first));
        for part in parts {
            at = at.and_then(|v| v.get(part));
        }
        at.is_none_or(Value::is_null)
    };
    names.iter().filter(lacks).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(value: Value, missing: Missing, data: Value) -> Result<Value, Wrong> {
        Compiled::new(value, missing, "#/parts", None)?.render(&values(&data))
    }

    #[test]
    fn only_texts_are_templates() {
        let value =
            json!([{ "type": "text", "text": "Hi {{ contact.name }}, {{ contact.city|default('there') }}" }, { "n": 7, "k": "{}" }]);
        let rendered = render(value.clone(), Missing::Empty, json!({ "contact": { "name": "\"}, <b>" } })).expect("it renders");
        assert_eq!(rendered, json!([{ "type": "text", "text": "Hi \"}, <b>, there" }, { "n": 7, "k": "{}" }]));
        let rendered = render(value, Missing::Empty, json!({})).expect("nothing is an error when sending");
        assert_eq!(rendered[0]["text"], "Hi , there");
    }

    #[test]
    fn a_lint_names_what_is_missing() {
        let value = json!({ "text": "{% if contact.vip %}*{% endif %}{{ contact.city }}" });
        let wrong = render(value.clone(), Missing::Error, json!({ "contact": { "name": "Ana" } })).expect_err("the city is missing");
        assert_eq!((wrong.pointer.as_str(), wrong.code), ("#/text", "template_failed"));
        assert!(render(value.clone(), Missing::Error, json!({ "contact": { "city": "Rome" } })).is_ok());
        let names = Compiled::new(value, Missing::Error, "#", None).expect("it compiles").names();
        let data = json!({ "contact": { "vip": true } });
        assert_eq!(lacking(&names, data.as_object().expect("an object")), ["contact.city"]);
    }

    #[test]
    fn a_broken_text_is_told_with_its_place_and_an_endless_one_ends() {
        let wrong = Compiled::new(json!([{ "text": "{{ contact.name" }]), Missing::Empty, "#/parts", None).err().expect("it is broken");
        assert_eq!(wrong.pointer, "#/parts/0/text");
        let endless = json!({ "text": "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}" });
        assert!(render(endless, Missing::Empty, json!({})).is_err());
    }

    #[test]
    fn a_link_is_short_where_somebody_gets_it() {
        let value = json!({ "text": "{{ 'https://shop.example/spring' | link }}" });
        let linker = Linker::new("https://x.example", b"secret");
        let compiled = Compiled::new(value.clone(), Missing::Empty, "#", Some(&linker)).expect("it compiles");
        let text = |data: Value| compiled.render(&values(&data)).expect("it renders")["text"].as_str().expect("a text").to_owned();
        assert_eq!(text(json!({})), "https://shop.example/spring");
        assert!(text(json!({ "_whose": "cmp_1 7" })).starts_with("https://x.example/l/"));
        let wrong = Compiled::new(json!({ "text": "{{ 'javascript:x' | link }}" }), Missing::Empty, "#", None).expect("it compiles");
        assert!(wrong.render(&values(&json!({}))).is_err());
    }

    #[test]
    fn conditions_hold_or_do_not() {
        let condition = Condition::new("event.properties.total > 50 and not contact.vip", "#/if").expect("it compiles");
        assert!(condition.holds(&json!({ "event": { "properties": { "total": 80 } } })));
        assert!(!condition.holds(&json!({ "event": { "properties": { "total": 80 } }, "contact": { "vip": true } })));
        assert!(!condition.holds(&json!({})));
        assert!(Condition::new("a ==", "#/if").is_err());
    }
}
