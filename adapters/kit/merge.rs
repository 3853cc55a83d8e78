//! A caller's own fields in a provider's request.

use serde_json::{Map, Value};

/// Lays `more` over `into`: objects field by field, anything else in place of what was there.
pub fn merge(into: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (into.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_joined_and_the_rest_is_replaced() {
        let mut into = json!({ "text": { "body": "hi", "preview_url": true }, "list": [1] });
        let more = json!({ "text": { "preview_url": false }, "list": [2], "new": {} });
        merge(into.as_object_mut().expect("an object"), more.as_object().expect("an object"));
        assert_eq!(into, json!({ "text": { "body": "hi", "preview_url": false }, "list": [2], "new": {} }));
    }
}
