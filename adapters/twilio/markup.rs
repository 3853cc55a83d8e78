//! Marked-up text as the medium shows it: WhatsApp has stars and underscores, the others have words.

use crate::contract::part::Format;
use crate::kit::markup::{Dialect, from_commonmark, from_html};

/// The text as people should read it.
pub(super) fn words(text: &str, format: Format, whatsapp: bool) -> String {
    let dialect = if whatsapp { Dialect::Stars } else { Dialect::Plain };
    match format {
        Format::Plain => text.to_owned(),
        Format::Markdown => from_commonmark(text, dialect),
        Format::Html => from_html(text, dialect),
    }
}
