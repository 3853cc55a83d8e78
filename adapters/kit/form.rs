//! `application/x-www-form-urlencoded` bodies.

use std::borrow::Cow;

/// The decoded fields, in order, names may repeat.
pub fn fields(body: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(body).collect()
}

/// The first field of that name.
pub fn get<'f>(fields: &'f [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())
}

/// The first query parameter of that name.
pub fn query<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, v)| v)
}
