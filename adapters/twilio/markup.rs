//! Marked-up text for channels of words.

use crate::contract::part::Format;

/// The text as people should read it.
pub(super) fn words(text: &str, _format: Format, _whatsapp: bool) -> String {
    text.to_owned()
}
