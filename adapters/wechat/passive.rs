//! Passive replies: a message as the answer to the delivery of what a person wrote (Passive_user_reply_message, read 2026-11-29). They
//! count in no allowance, and accounts that are not verified have no others. One delivery takes one: a text, or one article.

use aws_lc_rs::digest;
use serde_json::Value;

use super::{Channel, seal};
use crate::contract::{Call, CallBody, Outbound, Time, waiting};
use crate::kit::{crypto, xml::escape};

/// WeChat gives up after five seconds, TLS included (Receiving_standard_messages, read 2026-11-20).
pub(super) const WAIT_MS: i64 = 4_000;

/// Marks what was encrypted, and must be answered so.
const SEALED: &str = "aes/";

/// What the answer needs to know of a delivery: the account's own id, and whether it came encrypted.
pub(super) fn value(account: &str, sealed: bool) -> String {
    format!("{}{account}", if sealed { SEALED } else { "" })
}

/// The answer that takes the place of a customer-service message, where the delivery waits and it can say the same.
pub(super) fn instead(channel: &Channel, call: &Call, openid: &str, message: &Outbound<'_>, now: Time) -> Option<Call> {
    let (place, value) = waiting::place(message.handle?)?;
    let (sealed, account) = value.strip_prefix(SEALED).map_or((false, value), |account| (true, account));
    let CallBody::Bytes(body) = &call.body else { return None };
    let inside = content(&serde_json::from_slice(body).ok()?)?;
    let seconds = now.0 / 1000;
    let xml = format!(
        "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{seconds}</CreateTime>{inside}</xml>",
        escape(openid),
        escape(account)
    );
    let body = if sealed { encrypted(channel, &xml, message.id, now)? } else { xml };
    Some(Call::new(http::Method::POST, place).header("content-type", "text/xml").bytes(body))
}

/// A customer-service message in the words of a passive reply. In the name of an agent there are none.
fn content(body: &Value) -> Option<String> {
    if body.get("customservice").is_some() {
        return None;
    }
    let words = |value: &Value| escape(value.as_str().unwrap_or_default());
    match body["msgtype"].as_str()? {
        "text" => Some(format!("<MsgType>text</MsgType><Content>{}</Content>", words(&body["text"]["content"]))),
        "news" => {
            let [article] = body["news"]["articles"].as_array()?.as_slice() else { return None };
            Some(format!(
                "<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item><Title>{}</Title><Description>{}</Description>\
                 <PicUrl>{}</PicUrl><Url>{}</Url></item></Articles>",
                words(&article["title"]),
                words(&article["description"]),
                words(&article["picurl"]),
                words(&article["url"])
            ))
        }
        _ => None,
    }
}

/// Encrypted as deliveries are. What must differ from one to the next follows from the message and the time.
fn encrypted(channel: &Channel, xml: &str, id: &str, now: Time) -> Option<String> {
    let key = channel.keys.first()?;
    let token = channel.settings.token.iter().next()?;
    let seed = digest::digest(&digest::SHA256, format!("{id}|{}", now.0).as_bytes());
    let random: [u8; 16] = seed.as_ref()[..16].try_into().ok()?;
    let nonce = crypto::hex(&seed.as_ref()[16..21]);
    let encrypted = key.close(random, xml, &channel.settings.app_id);
    let seconds = (now.0 / 1000).to_string();
    let signature = seal::sign(token, &[&seconds, &nonce, &encrypted]);
    Some(format!(
        "<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>\
         <TimeStamp>{seconds}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::part::{Card, ChoiceOption, OptionKind};
    use crate::contract::twin::Twin as _;
    use crate::contract::{Adapter, Context, Part};
    use crate::kit::xml::Node;

    const OPENID: &str = "wechat:oFAKEopenid0000000000000001";

    fn channel() -> Channel {
        <Channel as Adapter>::bind(crate::contract::Settings(super::super::Twin::new(3).settings())).expect("settings")
    }

    fn calls(channel: &Channel, parts: &[Part<'static>], handle: Option<&str>) -> Vec<Call> {
        let native = serde_json::Map::new();
        let message = Outbound {
            id: "msg_1",
            to: OPENID,
            thread: None,
            parts,
            template: None,
            category: Default::default(),
            reply_to: None,
            handle,
            author: None,
            expires_at: None,
            native: &native,
        };
        let cx = Context {
            now: Time(1_795_000_101_000),
            public_url: "https://gw.example",
            hook_url: "https://gw.example/w",
            login: None,
            keys: None,
        };
        channel.render(&message, &cx).expect("it renders").calls
    }

    #[test]
    fn a_text_or_an_article_is_the_answer_and_the_rest_goes_the_usual_way() {
        let channel = channel();
        let text = [Part::text("1 < 2 & 3")];
        let answer = calls(&channel, &text, Some("answer:1f gh_fake00000001"));
        assert_eq!(answer.iter().map(waiting::number).collect::<Vec<_>>(), [Some(0x1f)]);
        let body = String::from_utf8(answer[0].body_bytes().to_vec()).expect("text");
        let node = Node::parse(&body).expect("XML");
        let field = |name| node.words(name).map(|w| w.to_string()).unwrap_or_default();
        assert_eq!(
            [field("ToUserName"), field("FromUserName"), field("CreateTime"), field("MsgType"), field("Content")],
            ["oFAKEopenid0000000000000001", "gh_fake00000001", "1795000101", "text", "1 < 2 & 3"]
        );
        let link = ChoiceOption {
            title: "See".into(),
            kind: OptionKind::Url,
            value: Some("https://shop.example/1".into()),
            ..ChoiceOption::default()
        };
        let card = Part::Card(Card { title: "Order 17".into(), text: Some("On its way".into()), options: vec![link], ..Card::default() });
        let answer = calls(&channel, &[card], Some("answer:1f gh_fake00000001"));
        let body = String::from_utf8(answer[0].body_bytes().to_vec()).expect("text");
        assert!(body.contains("<ArticleCount>1</ArticleCount>") && body.contains("<Url>https://shop.example/1</Url>"), "{body}");
        // No delivery waits, or two messages are to go: customer-service messages.
        assert!(calls(&channel, &text, None).iter().all(|c| waiting::number(c).is_none()));
        let two = [Part::text("a"), Part::text("b")];
        let both = calls(&channel, &two, Some("answer:1f gh_fake00000001"));
        assert_eq!(both.iter().map(|c| waiting::number(c).is_some()).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_came_encrypted_is_answered_so() {
        let channel = channel();
        let answer = calls(&channel, &[Part::text("hi")], Some("answer:1 aes/gh_fake00000001"));
        let body = String::from_utf8(answer[0].body_bytes().to_vec()).expect("text");
        let node = Node::parse(&body).expect("XML");
        let field = |name: &str| node.words(name).map(|w| w.to_string()).unwrap_or_default();
        let inside = channel.keys[0].open(&field("Encrypt"), &channel.settings.app_id).expect("our key opens it");
        assert!(inside.contains("<Content>hi</Content>"), "{inside}");
        let given = [field("TimeStamp"), field("Nonce"), field("Encrypt")];
        assert!(seal::signed(&channel.settings.token, &given.each_ref().map(String::as_str), &field("MsgSignature")));
        assert_eq!(content(&json!({ "msgtype": "text", "text": { "content": "x" }, "customservice": {} })), None);
    }
}
