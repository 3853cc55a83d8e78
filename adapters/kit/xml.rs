//! The XML of webhooks: elements, text, CDATA. No document types and no entities but the five of the language, so that no
//! document can make us read elsewhere or grow without bound; attributes are skipped.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// How deep elements may stand in each other.
const DEPTH: usize = 16;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node<'x> {
    /// Its name.
    pub name: Cow<'x, str>,
    /// The words in it, without those of its children.
    pub text: Cow<'x, str>,
    /// The elements in it.
    pub children: Vec<Node<'x>>,
}

impl<'x> Node<'x> {
    /// Reads a document with one root; `None` for anything else.
    pub fn parse(text: &'x str) -> Option<Self> {
        let mut stack: Vec<Self> = Vec::new();
        let mut rest = text.trim_start_matches('\u{feff}').trim();
        while !rest.is_empty() {
            let Some(tag) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                match stack.last_mut() {
                    Some(node) => node.add(unescape(&rest[..end])),
                    None if rest[..end].trim().is_empty() => {}
                    None => return None,
                }
                rest = &rest[end..];
                continue;
            };
            if let Some(data) = tag.strip_prefix("![CDATA[") {
                let (data, after) = data.split_once("]]>")?;
                stack.last_mut()?.add(Cow::Borrowed(data));
                rest = after;
            } else if let Some(comment) = tag.strip_prefix("!--") {
                rest = comment.split_once("-->")?.1;
            } else if let Some(instruction) = tag.strip_prefix('?') {
                rest = instruction.split_once("?>")?.1;
            } else if tag.starts_with('!') {
                return None;
            } else if let Some(name) = tag.strip_prefix('/') {
                let (name, after) = name.split_once('>')?;
                let done = stack.pop().filter(|node| node.name == name.trim())?;
                rest = after;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return rest.trim().is_empty().then_some(done),
                }
            } else {
                let (head, after) = tag.split_once('>')?;
                let (head, empty) = head.strip_suffix('/').map_or((head, false), |head| (head, true));
                let node = Self { name: Cow::Borrowed(head.split_whitespace().next()?), ..Self::default() };
                rest = after;
                let deep = stack.len() >= DEPTH;
                match stack.last_mut() {
                    Some(parent) if empty => parent.children.push(node),
                    None if empty => return rest.trim().is_empty().then_some(node),
                    _ if deep => return None,
                    _ => stack.push(node),
                }
            }
        }
        None
    }

    /// Reads the same document as JSON, as some webhooks send either: fields are elements, a list is an element repeated.
    pub fn parse_json(text: &str) -> Option<Node<'static>> {
        let value: Map<String, Value> = serde_json::from_str(text).ok()?;
        Some(Node::of("json".to_owned(), Value::Object(value)))
    }

    fn of(name: String, value: Value) -> Node<'static> {
        let (mut text, mut children) = (String::new(), Vec::new());
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::Array(items) => children.extend(items.into_iter().map(|item| Node::of(name.clone(), item))),
                        value => children.push(Node::of(name, value)),
                    }
                }
            }
            Value::Array(items) => children.extend(items.into_iter().map(|item| Node::of("item".to_owned(), item))),
            Value::String(words) => text = words,
            Value::Null => {}
            number => text = number.to_string(),
        }
        Node { name: Cow::Owned(name), text: Cow::Owned(text), children }
    }

    /// A copy that owes nothing to the document.
    pub fn into_owned(self) -> Node<'static> {
        let children = self.children.into_iter().map(Node::into_owned).collect();
        Node { name: Cow::Owned(self.name.into_owned()), text: Cow::Owned(self.text.into_owned()), children }
    }

    fn add(&mut self, text: Cow<'x, str>) {
        if self.text.trim().is_empty() {
            self.text = text;
        } else if !text.trim().is_empty() {
            self.text.to_mut().push_str(&text);
        }
    }

    /// The first element of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The words of an element, when there are some.
    pub fn words(&self, name: &str) -> Option<&Cow<'x, str>> {
        self.child(name).map(|child| &child.text).filter(|text| !text.trim().is_empty())
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.words(name)?.trim().parse().ok()
    }

    /// A number.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.words(name)?.trim().parse().ok().filter(|f: &f64| f.is_finite())
    }

    /// The same as JSON: an element without elements is its words, repeated ones are a list.
    pub fn json(&self) -> Value {
        if self.children.is_empty() {
            return self.text.as_ref().into();
        }
        let mut out = Map::new();
        for child in &self.children {
            let value = child.json();
            match out.get_mut(&*child.name) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => drop(out.insert(child.name.to_string(), value)),
            }
        }
        Value::Object(out)
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = text.to_owned();
    for (entity, letter) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
        out = out.replace(entity, letter);
    }
    Cow::Owned(out)
}

/// Words as they stand between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_reads_what_webhooks_write() {
        let text = "<?xml version=\"1.0\"?>\n<xml a=\"1\"><A><![CDATA[x < y & z]]></A>\n<B>1 &lt; 2 &amp;amp;</B><L><i>1</i><i>2</i></L><E/></xml>\n";
        let node = Node::parse(text).expect("a document");
        assert_eq!((node.words("A").map(|t| &**t), node.words("B").map(|t| &**t)), (Some("x < y & z"), Some("1 < 2 &amp;")));
        assert!(matches!(node.words("A"), Some(Cow::Borrowed(_))) && node.words("E").is_none() && node.child("E").is_some());
        assert_eq!(node.json()["L"]["i"], serde_json::json!(["1", "2"]));
        for bad in ["", "x", "<a>", "<a></b>", "<a/><b/>", "<!DOCTYPE x [<!ENTITY e \"y\">]><a>&e;</a>", "<a><![CDATA[x</a>"] {
            assert!(Node::parse(bad).is_none(), "{bad}");
        }
        assert!(Node::parse(&"<a>".repeat(100)).is_none());
    }

    #[test]
    fn json_says_the_same() {
        let xml = "<xml><A>x &lt; y</A><N>1234567890123456</N><L><i>1</i></L><L><i>2</i></L></xml>";
        let json = r#"{"A":"x < y","N":1234567890123456,"L":[{"i":1},{"i":2}],"E":null}"#;
        let (xml, json) = (Node::parse(xml).expect("XML"), Node::parse_json(json).expect("JSON"));
        for name in ["A", "N", "E"] {
            assert_eq!(xml.words(name), json.words(name));
        }
        assert_eq!(xml.json()["L"], json.json()["L"]);
        assert!(Node::parse_json("[]").is_none() && Node::parse_json("<xml/>").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[<>/!\\[\\]a &;CDATA-]{0,60}") {
            let _ = Node::parse(&text);
        }
    }
}
