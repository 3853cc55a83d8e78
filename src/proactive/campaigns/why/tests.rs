//! Every rule has a case here, and every case its sentence in `tests/why/campaign.txt`, where people can read and compare them.
//! `UPDATE_FIXTURES=1` writes the file anew.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::config::consent::{Hours as Span, QuietHours};
use crate::consent::quiet::{Hours, Quiet, Whereabouts};
use crate::consent::{A_CAP, CAP};
use crate::outbound::holds;

const NOW: &str = "2027-03-01T21:30:00Z";

fn time(text: &str) -> Time {
    Time::parse(text).expect(text)
}

fn campaign(state: State, phase: Phase, reason: Option<&str>) -> Campaign {
    let plan = json!({ "name": "Spring", "audience": "aud_1", "channels": ["acme-whatsapp", "acme-sms"], "fallback": { "after": "PT10M" },
        "parts": [{ "type": "text", "text": "x" }], "schedule": { "expires_after": "PT24H", "window": ["09:00", "20:00"] },
        "rate": { "max": "200/s" }, "canary": { "share": 0.01, "wait": "PT15M", "stop_if": { "failed": 0.05 } },
        "variants": [{ "name": "a", "weight": 90 }, { "name": "holdout", "weight": 10 }],
        "budget": { "amount": "500.00", "currency": "EUR" } });
    let row = |text: &str| crate::store::db::Value::from(text);
    let mut values = crate::values!["cmp_1", plan.to_string(), state.word(), phase.word(), 3_i64, reason.map(str::to_owned)];
    values.extend(crate::values![
        time("2027-03-01T20:00:00Z").0,
        time("2027-03-01T19:00:00Z").0,
        time("2027-03-01T21:45:00Z").0,
        7_i64,
        0_i64,
        0_i64
    ]);
    values.extend([row("{}"), crate::store::db::Value::Null, crate::store::db::Value::Null]);
    Campaign::read(&crate::store::db::Row(values)).expect("a campaign")
}

/// A case: what it shows, its rule, the campaign, the person's row where it differs, and what else is known.
struct Example {
    shows: &'static str,
    rule: Rule,
    campaign: Campaign,
    person: Value,
    said: Option<&'static str>,
    before: &'static [&'static str],
    provider: (Option<&'static str>, Option<&'static str>),
}

fn example(shows: &'static str, rule: Rule, person: Value) -> Example {
    let campaign = campaign(State::Running, Phase::Full, None);
    Example { shows, rule, campaign, person, said: None, before: &[], provider: (None, None) }
}

/// Somebody who waits for their turn.
fn turn(shows: &'static str, rule: Rule, campaign: Campaign, due: &str) -> Example {
    Example { campaign, ..example(shows, rule, json!({ "state": "waiting", "due": due })) }
}

/// Somebody with a message in this state.
fn written(shows: &'static str, rule: Rule, state: &str, reason: Option<&str>) -> Example {
    let person = json!({ "state": state, "reason": reason, "channel": "acme-whatsapp", "message_id": "msg_1" });
    example(shows, rule, person)
}

fn held(shows: &'static str, hold: Hold, reason: &str, until: Option<Time>) -> Example {
    let mut example = written(shows, Rule::Held(hold), "held", Some(reason));
    example.person["until"] = json!(until);
    example
}

fn barred(bar: Bar) -> Example {
    let reason = format!("{}: {}", bar.code(), bar.title());
    let mut example = written("suppressed", Rule::Barred(bar), "suppressed", Some(&reason));
    let is_word = matches!(bar, Bar::OptedOut | Bar::OptedOutMarketing | Bar::OptedOutProgram);
    example.said = is_word.then_some("\"Stop!\", said at 2027-03-01T20:10:00Z by word (evt_1)");
    example
}

/// What quiet hours really say about somebody in Berlin now.
fn quiet_hours() -> (String, Time) {
    let berlin = Whereabouts { zones: vec!["Europe/Berlin".into()], country: Some("DE".into()), region: None };
    let hours = Hours::new(&QuietHours { marketing: Span::Between(480, 1260), tables: true });
    match hours.ask(None, &berlin, time(NOW)) {
        Quiet::Closed(until, rule) => (rule, until),
        Quiet::Open(_) => panic!("it is night in Berlin"),
    }
}

fn examples() -> Vec<Example> {
    use {Phase::*, State::*};
    let (quiet, morning) = quiet_hours();
    let soon = Some(time("2027-03-01T21:40:00Z"));
    let unreachable = |reason: &str| json!({ "state": "unreachable", "reason": reason });
    let past = "2027-03-01T20:00:00Z";
    let mut all = vec![
        example("holdout", Rule::Holdout, json!({ "state": "holdout" })),
        example("no channel", Rule::NoChannel, unreachable(NO_CHANNEL)),
        example("words that cannot be written", Rule::Unwritable, unreachable("#/parts/0/text: undefined value")),
        example("too late for a turn", Rule::TooLate, json!({ "state": "expired", "reason": TOO_LATE, "due": past })),
        turn("scheduled", Rule::NotBegun, campaign(Scheduled, Full, None), "2027-03-02T09:00:00Z"),
        turn("not due", Rule::NotDue, campaign(Running, Full, None), "2027-03-02T09:00:00Z"),
        turn("due", Rule::Pace, campaign(Running, Full, None), past),
        turn("the canary goes", Rule::Canary, campaign(Running, Phase::Canary, None), past),
        turn("the canary is watched", Rule::Canary, campaign(Running, Watch, None), past),
        turn("paused", Rule::TurnPaused, campaign(Paused, Full, Some("paused by hand")), past),
        turn("budget", Rule::Budget, campaign(Paused, Full, Some(BUDGET_USED)), past),
        turn(
            "stopped by the canary",
            Rule::TurnStopped,
            campaign(Stopped, Phase::Canary, Some("9 of the canary's 100 failed, more than 5 %")),
            past,
        ),
        Example {
            campaign: campaign(Cancelled, Full, Some("cancelled by hand")),
            ..example("cancelled before the turn", Rule::TurnCancelled, json!({ "state": "cancelled" }))
        },
        written("in its lane", Rule::Lane, "accepted", None),
        Example { before: &["acme-whatsapp"], ..onward("the next channel waits in its lane", "accepted", None, None) },
        Example { before: &["acme-whatsapp"], ..onward("the next channel waits for its time", "scheduled", Some("scheduled"), soon) },
        held("quiet hours", Hold::QuietHours, &quiet, Some(morning)),
        held("a cap", Hold::Cap, &format!("{CAP} 2/24h on marketing"), Some(time("2027-03-02T11:00:00Z"))),
        held("a cap that has just moved on", Hold::Cap, A_CAP, Some(time("2027-03-01T21:30:01Z"))),
        held("outside its window", Hold::Window, holds::OUTSIDE_WINDOW, Some(time("2027-03-02T08:00:00Z"))),
        held("paused in its lane", Hold::Paused, holds::PAUSED, soon),
        held("stopped in its lane", Hold::Stopped, holds::STOPPED, soon),
        held("its channel is held", Hold::Channel, holds::CHANNEL_HELD, None),
        held("behind an earlier message", Hold::Behind, holds::BEHIND_EARLIER, soon),
        held("behind its channel", Hold::Behind, holds::BEHIND_CHANNEL, soon),
        held("a full window", Hold::Behind, holds::WINDOW_FULL, soon),
        held("the limit of people", Hold::Limit, holds::LIMIT_PEOPLE, Some(time("2027-03-02T10:00:00Z"))),
        held("the limit of a group", Hold::Limit, holds::LIMIT_GROUP, soon),
        held("the limit of a template", Hold::Limit, holds::LIMIT_TEMPLATE, soon),
        held("the limit of a country", Hold::Limit, holds::LIMIT_COUNTRY, soon),
        held("the limit per conversation", Hold::Limit, holds::LIMIT_CONVERSATION, soon),
        Example { provider: (None, Some("130429")), ..held("the provider is busy", Hold::Retry, "throttled: Rate limit hit", soon) },
        written("in doubt", Rule::InDoubt, "in_doubt", Some("the gateway stopped while the call was under way")),
        written("sent", Rule::Sent, "sent", None),
        Example { provider: (Some("wamid.1"), None), ..written("delivered", Rule::Delivered, "delivered", None) },
        Example { provider: (Some("wamid.1"), None), ..written("read", Rule::Read, "read", None) },
        Example {
            before: &["acme-whatsapp"],
            provider: (Some("SM1"), None),
            ..sms("delivered by the second channel", Rule::Delivered, "delivered", None)
        },
        Example {
            provider: (None, Some("131026")),
            ..written("failed", Rule::Failed, "failed", Some("undeliverable: The message cannot be delivered to this person."))
        },
        Example {
            before: &["acme-whatsapp"],
            provider: (None, Some("21610")),
            ..sms("failed on the second channel too", Rule::Failed, "failed", Some("stopped: The person has unsubscribed."))
        },
        written("expired", Rule::Expired, "expired", Some("expired: its time ran out before it could be sent")),
        written("expired without a word", Rule::Expired, "expired", None),
        Example {
            campaign: campaign(Cancelled, Full, Some("cancelled by hand")),
            ..written("cancelled", Rule::Cancelled, "cancelled", Some("campaign_cancelled: its campaign was cancelled"))
        },
    ];
    all.extend(Bar::ALL.map(barred));
    all
}

fn sms(shows: &'static str, rule: Rule, state: &str, reason: Option<&str>) -> Example {
    let mut example = written(shows, rule, state, reason);
    (example.person["channel"], example.person["message_id"]) = (json!("acme-sms"), json!("msg_2"));
    example
}

fn onward(shows: &'static str, state: &str, reason: Option<&str>, until: Option<Time>) -> Example {
    let mut example = sms(shows, Rule::Onward, state, reason);
    example.person["until"] = json!(until);
    example
}

fn told(example: &Example) -> Told {
    let text = |name: &str| example.person[name].as_str().map(str::to_owned);
    let person = Recipient {
        number: 7,
        address: "tel:+15550100200".into(),
        variant: Some("a".into()),
        state: text("state").expect("a state"),
        channel: text("channel"),
        message_id: text("message_id"),
        reason: text("reason"),
        until: text("until").and_then(|t| Time::parse(&t)),
        due: text("due").map_or(time("2027-03-01T20:00:00Z"), |t| time(&t)),
        sent_at: None,
        opted_out: false,
        goal: None,
        class: None,
    };
    tell(&Case {
        campaign: &example.campaign,
        person: &person,
        said: example.said.map(str::to_owned),
        before: example.before.iter().map(|c| (*c).to_owned()).collect(),
        provider_id: example.provider.0.map(str::to_owned),
        provider_code: example.provider.1.map(str::to_owned),
        now: time(NOW),
    })
}

#[test]
fn every_rule_has_its_sentence() {
    let (mut text, mut seen) = (String::new(), Vec::new());
    for example in examples() {
        let told = told(&example);
        assert_eq!(told.rule, example.rule, "{}", example.shows);
        assert!(told.because.contains(" Evidence: ") && told.because.contains(" Next: "), "{}", told.because);
        assert_eq!(told.until.is_some(), told.because.contains(" It ends at "), "{}", told.because);
        writeln!(text, "{} ({})\n  {}\n", told.rule.word(), example.shows, told.because).expect("memory");
        seen.push(told.rule);
    }
    let missing: Vec<Rule> = Rule::all().into_iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(missing.is_empty(), "rules without a sentence in tests/why/campaign.txt: {missing:?}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/why/campaign.txt");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(path, &text).expect("a writable file");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == text, "{path} says something else; if the new words are right, run this with UPDATE_FIXTURES=1:\n{text}");
}

#[test]
fn words_of_rules_are_their_own() {
    let mut words: Vec<&str> = Rule::all().into_iter().map(Rule::word).collect();
    let count = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), count);
}
