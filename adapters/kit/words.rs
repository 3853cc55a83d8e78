//! What a part says in plain words, for channels that lack its kind; and what callers want in a request as it is.

use serde_json::{Map, Value};

use crate::contract::part::{Card, ChoiceOption, Choices, ContactCard, Location, Notification, OptionKind, Order, Poll, Product};
use crate::contract::{Outbound, Part, RenderError, Rendered};

/// A place: its name, its address, and a link to the map.
pub fn location(place: &Location<'_>) -> String {
    let map = format!("https://maps.google.com/?q={},{}", place.latitude, place.longitude);
    let words = [place.name.as_deref(), place.address.as_deref(), Some(map.as_str())];
    words.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Address-book entries, one line a fact.
pub fn contacts(cards: &[ContactCard<'_>]) -> String {
    let one = |card: &ContactCard<'_>| {
        let head = [card.name.as_deref(), card.organization.as_deref()].into_iter().flatten().map(str::to_owned);
        let rest = card.phones.iter().chain(&card.emails).map(|line| line.to_string());
        head.chain(rest).collect::<Vec<_>>().join("\n")
    };
    cards.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

/// A notification without its picture.
pub fn notification(push: &Notification<'_>) -> String {
    let words: Vec<&str> = [&push.title, &push.body, &push.url].into_iter().flatten().map(|t| &**t).collect();
    words.join("\n")
}

/// A poll as a question with options.
pub fn poll<'a>(poll: &Poll<'a>) -> Choices<'a> {
    let option = |text: &crate::contract::Text<'a>| ChoiceOption { title: text.clone(), ..ChoiceOption::default() };
    Choices { text: poll.question.clone(), options: poll.options.iter().map(option).collect(), ..Choices::default() }
}

/// Tells that a poll with several answers became a question with one.
pub fn one_answer(poll: &Poll<'_>, part: usize, out: &mut Rendered) {
    if poll.multiple == Some(true) {
        out.note(part, "several answers", "one answer", "a question takes one answer at a time");
    }
}

/// A card's words as a question with the card's options under it.
pub fn card<'a>(card: &Card<'a>) -> Choices<'a> {
    let text = match &card.text {
        Some(words) if !words.is_empty() => format!("{}\n{words}", card.title).into(),
        _ => card.title.clone(),
    };
    Choices { text, options: card.options.clone(), ..Choices::default() }
}

/// Products by their numbers. The dashes stand in the alphabet of SMS, as a bullet would not.
pub fn product(product: &Product<'_>) -> String {
    let words = product.text.iter().map(|t| t.to_string());
    words.chain(product.skus.iter().map(|sku| format!("- {sku}"))).collect::<Vec<_>>().join("\n")
}

/// Why an order goes out as words.
pub const ORDER: &str = "an order is what people send: its lines stand in";

/// Tells that the channel cannot quote the message that is answered.
pub fn unquoted(message: &Outbound<'_>, name: &str, out: &mut Rendered) {
    let signal = |part: &Part<'_>| matches!(part, Part::Typing(_) | Part::Reaction(_));
    if message.reply_to.is_some()
        && let Some(part) = message.parts.iter().position(|part| !signal(part))
    {
        out.note(part, "quote", "message", &format!("{name} cannot quote"));
    }
}

/// A shopping cart, one line an item.
pub fn order(order: &Order<'_>) -> String {
    let words = order.text.iter().map(|t| t.to_string());
    let item = |item: &crate::contract::part::OrderItem<'_>| {
        let count = item.quantity.map(|n| format!("{n} x ")).unwrap_or_default();
        let price = item.price.as_ref().map(|p| format!(", {} {}", p.amount, p.currency)).unwrap_or_default();
        format!("- {count}{}{price}", item.sku)
    };
    words.chain(order.items.iter().map(item)).collect::<Vec<_>>().join("\n")
}

/// What comes back when an option is picked: its id, or its title where the caller gave none.
pub fn payload<'o>(option: &'o ChoiceOption<'_>) -> &'o str {
    option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title)
}

/// Whether picking it comes back to us, on a channel that cannot ask for a place, a number or a date.
pub fn answers(option: &ChoiceOption<'_>) -> bool {
    matches!(option.kind, OptionKind::Reply | OptionKind::Postback) || asks(option)
}

/// Whether it asks for something. Where a channel cannot, the press of a button is the nearest thing.
pub fn asks(option: &ChoiceOption<'_>) -> bool {
    matches!(option.kind, OptionKind::Location | OptionKind::Contact | OptionKind::Date)
}

/// Refuses an answer whose id another has already, for channels that want each id once. `at` points to the options.
pub fn once(options: &[ChoiceOption<'_>], at: &str) -> Result<(), RenderError> {
    let mut known = std::collections::HashSet::new();
    match options.iter().position(|option| answers(option) && !known.insert(payload(option))) {
        Some(index) => Err(RenderError::new(format!("{at}/{index}/id"), "option_id_twice", "each option needs an id of its own")),
        None => Ok(()),
    }
}

/// Whether no two titles are the same, for channels that want each button once.
pub fn distinct(options: &[ChoiceOption<'_>]) -> bool {
    let mut known = std::collections::HashSet::new();
    options.iter().all(|option| known.insert(&*option.title))
}

/// A link that people can open.
pub fn is_link(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// Header, question, headings and second lines of the options, footer.
pub fn question(asked: &Choices<'_>) -> String {
    question_on(asked, usize::MAX)
}

/// The same, with the whole of each title that is too long for a button of `longest` characters.
pub fn question_on(asked: &Choices<'_>, longest: usize) -> String {
    let mut out = asked.header.as_deref().filter(|h| !h.is_empty()).map(|h| format!("{h}\n\n")).unwrap_or_default();
    out.push_str(&asked.text);
    out.push_str(&super::choices::unsaid(&asked.options, longest));
    if let Some(footer) = asked.footer.as_deref().filter(|f| !f.is_empty()) {
        out.push_str(&format!("\n\n{footer}"));
    }
    out
}

/// Objects are merged, everything else is replaced.
pub fn merge(into: &mut Value, from: &Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (Some(inside @ Value::Object(_)), Value::Object(more)) => merge(inside, more),
            _ => into[name] = value.clone(),
        }
    }
}
