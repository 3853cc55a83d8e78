//! Names of the emoji people react with most; the rest keep the name they have.

use std::borrow::Cow;

/// Emoji and their names, the usual one first.
const NAMES: &[(&str, &str)] = &[
    ("👍", "+1"),
    ("👍", "thumbsup"),
    ("👎", "-1"),
    ("👎", "thumbsdown"),
    ("❤️", "heart"),
    ("😂", "joy"),
    ("😄", "smile"),
    ("😀", "grinning"),
    ("😊", "blush"),
    ("😍", "heart_eyes"),
    ("😮", "open_mouth"),
    ("😢", "cry"),
    ("😭", "sob"),
    ("😠", "angry"),
    ("😡", "rage"),
    ("🎉", "tada"),
    ("👀", "eyes"),
    ("🙏", "pray"),
    ("👏", "clap"),
    ("🔥", "fire"),
    ("🚀", "rocket"),
    ("💯", "100"),
    ("✅", "white_check_mark"),
    ("❌", "x"),
    ("✔️", "heavy_check_mark"),
    ("👋", "wave"),
    ("🤔", "thinking_face"),
    ("🙌", "raised_hands"),
    ("💪", "muscle"),
    ("👌", "ok_hand"),
    ("⭐", "star"),
    ("⏳", "hourglass_flowing_sand"),
    ("❓", "question"),
    ("❗", "exclamation"),
    ("⚠️", "warning"),
    ("😅", "sweat_smile"),
    ("😉", "wink"),
    ("😎", "sunglasses"),
    ("😱", "scream"),
    ("🤷", "shrug"),
    ("🤝", "handshake"),
    ("💡", "bulb"),
    ("📌", "pushpin"),
];

/// The emoji of a name (`wave::skin-tone-3` with its shade), or the name.
pub(super) fn of(name: &str) -> Cow<'_, str> {
    let (plain, tone) = name.split_once("::skin-tone-").map_or((name, None), |(plain, tone)| (plain, tone.parse::<u32>().ok()));
    let Some((emoji, _)) = NAMES.iter().find(|(_, known)| *known == plain) else { return Cow::Borrowed(name) };
    // Tones 2 to 6 are U+1F3FB to U+1F3FF.
    match tone.filter(|tone| (2..=6).contains(tone)).and_then(|tone| char::from_u32(0x1F3F9 + tone)) {
        Some(tone) => Cow::Owned(format!("{}{tone}", emoji.trim_end_matches('\u{fe0f}'))),
        None => Cow::Borrowed(emoji),
    }
}

/// The name of an emoji; `None` when it is not known here and looks like no name.
pub(super) fn name(emoji: &str) -> Option<String> {
    let bare = emoji.trim().trim_matches(':');
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-:'".contains(&b)) {
        return Some(bare.to_owned());
    }
    let tone = bare.chars().find(|c| ('\u{1f3fb}'..='\u{1f3ff}').contains(c));
    let plain: String = bare.chars().filter(|c| Some(*c) != tone && *c != '\u{fe0f}').collect();
    let (_, name) = NAMES.iter().find(|(known, _)| known.trim_end_matches('\u{fe0f}') == plain)?;
    Some(tone.map_or_else(|| (*name).to_owned(), |tone| format!("{name}::skin-tone-{}", u32::from(tone) - 0x1F3F9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_emoji_belong_together() {
        assert_eq!((&*of("thumbsup"), &*of("wave::skin-tone-3"), &*of("party_parrot")), ("👍", "👋🏼", "party_parrot"));
        assert_eq!(name("👍").as_deref(), Some("+1"));
        assert_eq!(name("👋🏼").as_deref(), Some("wave::skin-tone-3"));
        assert_eq!(name("❤").as_deref(), Some("heart"));
        assert_eq!((name(":party_parrot:").as_deref(), name("🪿"), name("")), (Some("party_parrot"), None, None));
    }
}
