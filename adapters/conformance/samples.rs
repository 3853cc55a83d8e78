//! One message of every kind that callers may ask for: what the golden files show on each channel.

use serde_json::{Value, json};

use crate::contract::{Facts, Unit};

/// The samples by name, each the `parts` of a message. `id` is a message of the person's that the provider knows, and
/// `facts` say where a text is too long for the channel.
pub(super) fn samples(facts: &Facts, id: &str) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = Vec::new();
    let groups = [words(facts), files(), things(), questions(), kinds(), cards(), signals(id), not_for_people()];
    for (name, part) in groups.into_iter().flatten() {
        all.push((name, json!([part])));
    }
    all.push(("several".into(), several()));
    all
}

type Group = Vec<(String, Value)>;

fn group<const N: usize>(parts: [(&str, Value); N]) -> Group {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

fn words(facts: &Facts) -> Group {
    let markdown = "# Your order\n\n**Ready** at *noon*, ~~not~~ `A-7`:\n\n- one [tea](https://shop.example/tea)\n- two `cups`\n\n\
                    1. Pay\n2. Collect\n\n> Ask for Ana\n\n```\nx < y\n```";
    let html = "<p>Your <b>order</b> &amp; <i>bill</i></p><ul><li>one <a href=\"https://shop.example/tea\">tea</a></li></ul>";
    group([
        ("text", json!({ "type": "text", "text": "Your table is ready" })),
        ("text_emoji", json!({ "type": "text", "text": "Готово 🎉 até já" })),
        // What a channel takes for markup, a mention or an entity is meant as it stands.
        ("text_signs", json!({ "type": "text", "text": "2*3*4 snake_case_word ~7~ `x` <b>&amp;</b> @here <@U1> #tag [a](b) \\o/" })),
        ("text_markdown", json!({ "type": "text", "format": "markdown", "text": markdown })),
        ("text_html", json!({ "type": "text", "format": "html", "text": html })),
        ("text_long", json!({ "type": "text", "text": long(facts) })),
    ])
}

/// Sentences beyond two messages of the channel; where a message may be as long as a book, beyond one.
fn long(facts: &Facts) -> String {
    let most = facts.text.max;
    let wanted = if most > 20_000 { most + most / 10 } else { most * 2 + most / 2 };
    let mut out = String::new();
    for number in 1.. {
        out.push_str(&format!("This is sentence number {number} of a long story. "));
        if Unit::count(facts.text.unit, &out) > wanted {
            break;
        }
    }
    out.trim_end().to_owned()
}

fn files() -> Group {
    let media =
        |url: &str, mime: &str, size: u64| json!({ "url": format!("https://media.example/{url}"), "mime_type": mime, "size": size });
    // The engine links what lies in its store before it asks an adapter.
    let stored = json!({ "id": "med_1", "url": "https://gw.example.org/media/med_1/table.jpg", "mime_type": "image/jpeg", "size": 90_000, "filename": "table.jpg" });
    let named = json!({ "url": "https://media.example/menu.pdf", "mime_type": "application/pdf", "size": 200_000, "filename": "Menu.pdf" });
    let mut film = media("tour.mp4", "video/mp4", 900_000);
    film["duration_ms"] = 8_000.into();
    let mut note = media("note.ogg", "audio/ogg", 30_000);
    note["duration_ms"] = 4_000.into();
    group([
        ("image", json!({ "type": "image", "media": media("table.jpg", "image/jpeg", 90_000) })),
        ("image_caption", json!({ "type": "image", "media": media("table.jpg", "image/jpeg", 90_000), "caption": "Your table <3" })),
        ("image_stored", json!({ "type": "image", "media": stored, "caption": "Your table" })),
        (
            "image_caption_long",
            json!({ "type": "image", "media": media("table.jpg", "image/jpeg", 90_000), "caption": "A long caption. ".repeat(90).trim_end() }),
        ),
        ("audio", json!({ "type": "audio", "media": media("song.mp3", "audio/mpeg", 300_000) })),
        ("voice", json!({ "type": "voice", "media": note })),
        ("video", json!({ "type": "video", "media": film, "caption": "The tour" })),
        ("file", json!({ "type": "file", "media": named, "caption": "Our menu" })),
        ("sticker", json!({ "type": "sticker", "media": media("hello.webp", "image/webp", 20_000) })),
    ])
}

fn things() -> Group {
    let ana = json!({ "name": "Ana Lima", "phones": ["+15550100200"], "emails": ["ana@shop.example"], "organization": "Shop" });
    let bob = json!({ "name": "Bob", "emails": ["bob@shop.example"] });
    group([
        ("location", json!({ "type": "location", "latitude": 40.4168, "longitude": -3.7038, "name": "Shop", "address": "Calle Mayor 1" })),
        ("location_bare", json!({ "type": "location", "latitude": 40.4168, "longitude": -3.7038 })),
        ("contacts", json!({ "type": "contacts", "contacts": [ana] })),
        ("contacts_two", json!({ "type": "contacts", "contacts": [ana, bob] })),
        ("poll", json!({ "type": "poll", "question": "Which day?", "options": ["Monday", "Tuesday", "Friday"] })),
        ("poll_long", json!({ "type": "poll", "question": "Which hours?", "multiple": true, "options": hours(12) })),
        ("product", json!({ "type": "product", "catalog_id": "cat-1", "skus": ["TEA-1"], "text": "Our tea" })),
        ("products", json!({ "type": "product", "catalog_id": "cat-1", "skus": ["TEA-1", "CUP-2"], "text": "Tea time" })),
        (
            "notification",
            json!({ "type": "notification", "title": "Table ready", "body": "Come in", "image": "https://media.example/table.jpg",
            "url": "https://shop.example/t/7", "badge": 3, "sound": "bell", "collapse_key": "table", "data": { "table": "7" } }),
        ),
    ])
}

fn hours(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("Slot {n}")).collect()
}

/// Options to answer with: so many, in each lay-out, and with all that stands around them.
fn questions() -> Group {
    let options = |count: usize| -> Vec<Value> {
        hours(count).iter().enumerate().map(|(n, t)| json!({ "id": format!("s{}", n + 1), "title": t })).collect()
    };
    let mut all = Vec::new();
    for layout in ["", "buttons", "list", "quick_replies"] {
        for count in [2, 3, 10, 30] {
            let mut asked = json!({ "type": "choices", "text": "Which slot?", "options": options(count) });
            let name = if layout.is_empty() { format!("choices_{count}") } else { format!("choices_{count}_{layout}") };
            if !layout.is_empty() {
                asked["layout"] = layout.into();
            }
            all.push((name, asked));
        }
    }
    let described = json!([
        { "id": "a", "title": "Terrace", "description": "With a view of the sea", "section": "Outside" },
        { "id": "b", "title": "Garden", "description": "Under the lemon trees", "section": "Outside" },
        { "id": "c", "title": "Hall", "section": "Inside" }]);
    let wordy = json!([
        { "id": "a", "title": "The large round table beside the window" },
        { "id": "b", "title": "The small one in the corner, where it is quiet even at noon" }]);
    let picture = json!({ "url": "https://media.example/room.jpg", "mime_type": "image/jpeg", "size": 90_000 });
    let framed = |layout: &str| {
        json!({ "type": "choices", "header": "Seats", "text": "Where would you sit?", "footer": "Until noon",
        "menu_label": "Show seats", "layout": layout, "options": described })
    };
    all.extend(group([
        ("choices_framed_buttons", framed("buttons")),
        ("choices_framed_list", framed("list")),
        ("choices_picture", json!({ "type": "choices", "text": "Where would you sit?", "media": picture, "options": options(2) })),
        ("choices_wordy", json!({ "type": "choices", "text": "Where would you sit?", "options": wordy })),
        ("choices_long_text", json!({ "type": "choices", "text": "A long question. ".repeat(90).trim_end(), "options": options(2) })),
    ]));
    all
}

fn option(kind: &str) -> Value {
    let (title, value) = match kind {
        "url" => ("Our page", Some("https://shop.example/p")),
        "call" => ("Call us", Some("+15550100300")),
        "copy" => ("Copy code", Some("SAVE10")),
        "location" => ("Send place", None),
        "contact" => ("Send number", None),
        "date" => ("Pick a day", None),
        "webview" => ("Book here", Some("https://shop.example/book")),
        "postback" => ("Tell more", None),
        _ => ("Yes", None),
    };
    let mut option = json!({ "id": kind, "title": title });
    if kind != "reply" {
        option["kind"] = kind.into();
    }
    if let Some(value) = value {
        option["value"] = value.into();
    }
    option
}

const KINDS: [&str; 9] = ["reply", "url", "call", "copy", "location", "contact", "date", "postback", "webview"];

/// What an option may do, each alone, and some together.
fn kinds() -> Group {
    let asked = |options: Vec<Value>| json!({ "type": "choices", "text": "How shall we go on?", "options": options });
    let mut all: Group = KINDS.iter().map(|kind| (format!("option_{kind}"), asked(vec![option(kind)]))).collect();
    all.push(("options_reply_url".into(), asked(vec![option("reply"), option("url")])));
    all.push(("options_all".into(), asked(KINDS.iter().map(|kind| option(kind)).collect())));
    all
}

fn cards() -> Group {
    let picture = |name: &str| json!({ "url": format!("https://media.example/{name}.jpg"), "mime_type": "image/jpeg", "size": 90_000 });
    let card = |n: usize| {
        json!({ "title": format!("Room {n}"), "text": format!("For {n} people"), "media": picture("room"),
        "options": [{ "id": format!("r{n}"), "title": format!("Take {n}") }, option("url")] })
    };
    let bare = |n: usize| json!({ "title": format!("Room {n}"), "text": format!("For {n} people") });
    let carousel = |count: usize, card: &dyn Fn(usize) -> Value| json!({ "type": "carousel", "text": "Our rooms", "cards": (1..=count).map(card).collect::<Vec<_>>() });
    let typed = |mut card: Value| {
        card["type"] = "card".into();
        card
    };
    let mut busy = typed(card(1));
    busy["options"] = (1..=6).map(|n| json!({ "id": format!("o{n}"), "title": format!("Option {n}") })).collect();
    let mut all_kinds = typed(card(1));
    all_kinds["options"] = KINDS.iter().map(|kind| option(kind)).collect();
    group([
        ("card", typed(card(1))),
        ("card_bare", typed(bare(1))),
        ("card_six_options", busy),
        ("card_options_all", all_kinds),
        ("carousel", carousel(3, &card)),
        ("carousel_bare", carousel(3, &bare)),
        ("carousel_one", carousel(1, &card)),
        ("carousel_12", carousel(12, &card)),
    ])
}

fn signals(id: &str) -> Group {
    group([
        ("typing", json!({ "type": "typing" })),
        ("reaction", json!({ "type": "reaction", "message_id": id, "emoji": "👍" })),
        ("reaction_back", json!({ "type": "reaction", "message_id": id })),
    ])
}

/// Kinds that only people send.
fn not_for_people() -> Group {
    group([
        ("choice", json!({ "type": "choice", "kind": "button", "id": "a", "title": "Terrace" })),
        ("form", json!({ "type": "form", "name": "visit", "fields": { "day": "Monday" } })),
        (
            "order",
            json!({ "type": "order", "items": [{ "sku": "TEA-1", "quantity": 2, "price": { "amount": "9.50", "currency": "EUR" } }], "text": "Your order" }),
        ),
        ("payment", json!({ "type": "payment", "state": "paid", "amount": { "amount": "9.50", "currency": "EUR" } })),
        ("story", json!({ "type": "story", "kind": "mention" })),
        ("call", json!({ "type": "call", "state": "missed" })),
        ("unsupported", json!({ "type": "unsupported", "provider_type": "dice" })),
    ])
}

/// A message of several parts: each in its place.
fn several() -> Value {
    json!([
        { "type": "text", "text": "Good evening" },
        { "type": "image", "media": { "url": "https://media.example/table.jpg", "mime_type": "image/jpeg", "size": 90_000 }, "caption": "Your table" },
        { "type": "location", "latitude": 40.4168, "longitude": -3.7038, "name": "Shop" },
        { "type": "choices", "text": "Coming?", "options": [{ "id": "yes", "title": "Yes" }, { "id": "no", "title": "No" }] }
    ])
}
