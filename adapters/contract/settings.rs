//! One channel's settings as the configuration file gives them, and the errors that name what to mend.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The keys of one `[channels.NAME]` table that belong to its provider, with those of its `[apps.NAME]` below them.
#[derive(Clone, Default)]
pub struct Settings(pub Map<String, Value>);

/// A setting that cannot be used. The engine adds file and channel; `key` and `remedy` say what to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}; {remedy}")]
pub struct SettingsError {
    /// The key at fault.
    pub key: String,
    /// What is wrong with it, without its value.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl SettingsError {
    /// An error of one key.
    pub fn new(key: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

impl Settings {
    /// Reads the settings into an adapter's own typed struct. An unknown key is an error that names the nearest known one.
    pub fn parse<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, SettingsError> {
        let schema = schemars::schema_for!(T);
        let known: Vec<&str> =
            schema.get("properties").and_then(Value::as_object).map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
        for key in self.0.keys() {
            if !known.contains(&key.as_str()) {
                return Err(SettingsError::new(key, "unknown setting", nearest(key, &known)));
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for key in required {
            match self.0.get(key) {
                None => return Err(SettingsError::new(key, "missing", format!("add `{key} = ...`"))),
                Some(Value::String(text)) if text.is_empty() => {
                    return Err(SettingsError::new(key, "empty", "give it a value; is the environment variable it names set?"));
                }
                Some(_) => {}
            }
        }
        // serde's own message never carries the value of a secret once it is redacted.
        serde_path_to_error::deserialize(Value::Object(self.0.clone())).map_err(|error| {
            let key = match error.path().to_string() {
                path if path == "." => "settings".to_owned(),
                path => path,
            };
            let problem = redact(&error.inner().to_string());
            let remedy = remedy(&problem);
            SettingsError::new(key, problem, remedy)
        })
    }
}

/// The nearest known word, where serde names the words it knows (``unknown field `a`, expected `b` or `c` ``).
fn remedy(problem: &str) -> String {
    let words: Vec<&str> = problem.split('`').skip(1).step_by(2).collect();
    match words.as_slice() {
        [word, known @ ..] if problem.starts_with("unknown ") && !known.is_empty() => nearest(word, known),
        _ => "`fairway schema config` says what it may be".into(),
    }
}

/// serde quotes the offending value (`invalid type: string "hunter2"`); it is cut out.
fn redact(message: &str) -> String {
    let mut out = String::new();
    for (i, piece) in message.split('"').enumerate() {
        out.push_str(if i % 2 == 0 { piece } else { "..." });
    }
    out
}

/// "did you mean ..." for an unknown word.
pub fn nearest(word: &str, known: &[&str]) -> String {
    match known.iter().max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b))) {
        Some(best) if strsim::jaro_winkler(word, best) > 0.7 => format!("did you mean `{best}`?"),
        _ => format!("known are: {}", known.join(", ")),
    }
}
