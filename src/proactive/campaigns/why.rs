//! Why a person of a campaign got its message, waits for it, or got none: one rule for each way it can be, and for each rule a
//! sentence that names the rule, its value, its end, the evidence and what helps.

use fairway_adapters::contract::Time;

use super::report::Recipient;
use super::{Campaign, HOLDOUT, Phase, State};
use crate::consent::Bar;
use crate::outbound::holds::Hold;

/// Nobody can be written to whom no channel reaches.
pub const NO_CHANNEL: &str = "none of the campaign's channels reaches any of the addresses";
/// Whose turn came too late.
pub const TOO_LATE: &str = "their turn came after the message was worth sending";
/// Why a campaign whose money is spent is paused.
pub const BUDGET_USED: &str = "its budget is used up; raise it and resume, or cancel";

/// Names every rule once: as a variant, in the list, and as a word.
macro_rules! rules {
    ($($(#[$doc:meta])+ $name:ident = $word:literal,)+) => {
        /// Why it is as it is with a person.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$doc])+ $name,)+
            /// The message is held.
            Held(Hold),
            /// The person is not written to.
            Barred(Bar),
        }

        impl Rule {
            /// Every rule.
            pub fn all() -> Vec<Self> {
                let own = [$(Self::$name,)+];
                own.into_iter().chain(Hold::ALL.map(Self::Held)).chain(Bar::ALL.map(Self::Barred)).collect()
            }

            /// Its word, stable.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                    Self::Held(hold) => hold.word(),
                    Self::Barred(bar) => bar.code(),
                }
            }
        }
    };
}

rules! {
    /// Gets nothing on purpose.
    Holdout = "holdout",
    /// No channel reaches them.
    NoChannel = "no_channel",
    /// Nothing could be written for them.
    Unwritable = "unwritable",
    /// Their turn came too late.
    TooLate = "too_late",
    /// The campaign has not begun.
    NotBegun = "not_begun",
    /// Their time has not come.
    NotDue = "not_due",
    /// Their time has come, and others go first.
    Pace = "pace",
    /// The canary's outcome is awaited.
    Canary = "canary",
    /// The campaign is paused, and their turn with it.
    TurnPaused = "campaign_paused",
    /// The campaign is paused because its money is spent.
    Budget = "budget",
    /// The campaign was stopped by its canary.
    TurnStopped = "campaign_stopped",
    /// The campaign was cancelled before their turn.
    TurnCancelled = "campaign_cancelled",
    /// It lies in its lane.
    Lane = "lane",
    /// The next channel's turn comes, or has come.
    Onward = "fallback",
    /// The provider may or may not have it.
    InDoubt = "in_doubt",
    /// The provider has it.
    Sent = "sent",
    /// It arrived.
    Delivered = "delivered",
    /// It was read.
    Read = "read",
    /// It did not arrive.
    Failed = "failed",
    /// Its time ran out.
    Expired = "expired",
    /// It was stopped on request.
    Cancelled = "cancelled",
}

/// A person of a campaign, with what is known of them.
pub struct Case<'c> {
    /// The campaign.
    pub campaign: &'c Campaign,
    /// The person's row in its books.
    pub person: &'c Recipient,
    /// What the person said last about being written to, with when and where it was said.
    pub said: Option<String>,
    /// The channels that were tried before the one that counts, in their order.
    pub before: Vec<String>,
    /// The id that the provider gave to the message.
    pub provider_id: Option<String>,
    /// The provider's own code of its refusal.
    pub provider_code: Option<String>,
    /// What the time is.
    pub now: Time,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which rule.
    pub rule: Rule,
    /// The rule, its value and its end, the evidence and what helps, in sentences.
    pub because: String,
    /// When it ends, where that is known.
    pub until: Option<Time>,
}

impl Rule {
    /// The rule of a case.
    pub fn of(case: &Case<'_>) -> Self {
        let (campaign, person) = (case.campaign, case.person);
        let reason = person.reason.as_deref().unwrap_or_default();
        let written = person.message_id.is_some();
        match person.state.as_str() {
            HOLDOUT => Self::Holdout,
            "unreachable" if reason == NO_CHANNEL => Self::NoChannel,
            "unreachable" => Self::Unwritable,
            "expired" if !written => Self::TooLate,
            "cancelled" if !written => Self::TurnCancelled,
            "waiting" => Self::of_turn(campaign, person, case.now),
            "held" | "scheduled" if reason == "scheduled" => Self::Onward,
            "held" => Self::Held(Hold::of(reason)),
            "planned" | "accepted" if !case.before.is_empty() => Self::Onward,
            "planned" | "accepted" | "scheduled" | "sending" => Self::Lane,
            "in_doubt" => Self::InDoubt,
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "expired" => Self::Expired,
            "cancelled" => Self::Cancelled,
            "suppressed" => {
                let code = reason.split(": ").next().unwrap_or_default();
                Self::Barred(Bar::ALL.into_iter().find(|bar| bar.code() == code).unwrap_or(Bar::Address))
            }
            _ => Self::Failed,
        }
    }

    fn of_turn(campaign: &Campaign, person: &Recipient, now: Time) -> Self {
        match campaign.state {
            State::Cancelled => Self::TurnCancelled,
            State::Stopped => Self::TurnStopped,
            State::Paused if campaign.reason.as_deref() == Some(BUDGET_USED) => Self::Budget,
            State::Paused => Self::TurnPaused,
            State::Draft | State::Scheduled => Self::NotBegun,
            State::Running | State::Completed if person.due > now => Self::NotDue,
            State::Running | State::Completed if matches!(campaign.phase, Phase::Canary | Phase::Watch) => Self::Canary,
            State::Running | State::Completed => Self::Pace,
        }
    }
}

/// Tells why it is as it is with a person.
pub fn tell(case: &Case<'_>) -> Told {
    let rule = Rule::of(case);
    let (said, next) = sentence(rule, case);
    let until = match rule {
        Rule::NotBegun | Rule::NotDue => Some(case.person.due),
        Rule::Canary => case.campaign.until.filter(|_| case.campaign.phase == Phase::Watch),
        Rule::Held(_) | Rule::Onward => case.person.until,
        _ => None,
    };
    let end = until.map(|at| format!(" It ends at {at}.")).unwrap_or_default();
    let before = match case.before.as_slice() {
        [] => String::new(),
        tried => format!(" {} did not bring it to them before.", tried.join(", then ")),
    };
    let because = format!("{said}{before}{end} Evidence: {}. Next: {next}.", evidence(rule, case));
    Told { rule, because, until }
}

/// What shows that it is so.
fn evidence(rule: Rule, case: &Case<'_>) -> String {
    let (campaign, person) = (case.campaign, case.person);
    let message = person.message_id.as_deref().map(|id| format!("the timeline of {id}"));
    match rule {
        Rule::Barred(_) => match &case.said {
            Some(said) => said.clone(),
            None => format!("GET /v1/consents?address={}", person.address),
        },
        Rule::Failed | Rule::Held(Hold::Retry) if case.provider_code.is_some() => {
            let code = case.provider_code.as_deref().unwrap_or_default();
            format!("the provider's code {code} in {}", message.unwrap_or_default())
        }
        Rule::Sent | Rule::Delivered | Rule::Read if case.provider_id.is_some() => {
            let id = case.provider_id.as_deref().unwrap_or_default();
            format!("the provider's message {id} in {}", message.unwrap_or_default())
        }
        _ => message.unwrap_or_else(|| format!("line {} of the audience in {}, edition {}", person.number, campaign.id, campaign.edition)),
    }
}

/// The rule with its value, and what helps.
fn sentence(rule: Rule, case: &Case<'_>) -> (String, &'static str) {
    let (campaign, person) = (case.campaign, case.person);
    let reason = person.reason.as_deref().unwrap_or_default();
    let title = reason.split_once(": ").map_or(reason, |(_, title)| title).trim_end_matches('.');
    let channel = person.channel.as_deref().unwrap_or("its channel");
    let why = campaign.reason.as_deref().unwrap_or("by hand");
    match rule {
        Rule::Holdout => {
            let total: u32 = campaign.plan.variants.iter().map(|v| v.weight).sum();
            let own = campaign.plan.variants.iter().find(|v| v.name == HOLDOUT).map_or(0, |v| v.weight);
            (format!("They are among the {own} of {total} who get nothing on purpose, to compare with."), "the report compares the goals")
        }
        Rule::NoChannel => {
            let channels = campaign.plan.channels.join(", ");
            (format!("Unreachable: none of {channels} reaches any of their addresses."), "add an address or a channel, and follow up")
        }
        Rule::Unwritable => {
            (format!("Unreachable: nothing can be written for them, {reason}."), "mend the words or the person's data, and follow up")
        }
        Rule::TooLate => {
            let worth = campaign.plan.schedule.expires_after.as_deref().unwrap_or("no time");
            let what = format!("Expired: their turn came more than {worth} after {}, when it was not worth sending any more.", person.due);
            (what, "a higher rate or a longer `expires_after` reaches them next time")
        }
        Rule::NotBegun => ("The campaign has not begun.".into(), "it begins by itself when the first is due"),
        Rule::NotDue => ("Their time by the campaign's schedule has not come.".into(), "it goes by itself at that time"),
        Rule::Pace => {
            let rate = campaign.plan.rate.as_ref().map_or("what its channels allow", |r| r.max.as_str());
            (format!("Their time has come; others go first, at {rate}."), "raise the rate, or wait")
        }
        Rule::Canary => {
            let canary = campaign.plan.canary.as_ref();
            let (share, wait) = canary.map_or((0.0, ""), |c| (c.share * 100.0, c.wait.as_str()));
            (format!("The {share} % of the canary go first and are watched for {wait}."), "it goes by itself unless the canary stops it")
        }
        Rule::TurnPaused => (format!("The campaign is paused: {why}."), "resume or cancel it"),
        Rule::Budget => {
            let budget = campaign.plan.budget.as_ref().map(|b| format!("{} {}", b.amount, b.currency)).unwrap_or_default();
            (format!("The campaign is paused: its budget of {budget} is used up."), "raise the budget and resume, or cancel")
        }
        Rule::TurnStopped => {
            (format!("The campaign was stopped by its canary: {why}."), "look at the canary's failures, then resume or cancel it")
        }
        Rule::TurnCancelled => (format!("The campaign was cancelled before their turn: {why}."), "a follow-up reaches them"),
        Rule::Lane => (
            format!("Their message waits in its lane for {channel} and its limits."),
            "it goes by itself; GET /v1/channels shows the limits",
        ),
        Rule::Onward => (format!("The fallback goes on through {channel}."), "it goes by itself, unless the message before arrives first"),
        Rule::Held(hold) => held(hold, channel, reason),
        Rule::Barred(bar) => barred(bar, channel),
        Rule::InDoubt => (
            format!("In doubt: {channel} may or may not have it, and marketing is not sent again."),
            "a receipt settles it, or an operator by `fairway dead-letters list --in-doubt`",
        ),
        Rule::Sent => (format!("Sent through {channel}; no receipt says more."), "nothing; receipts move it on"),
        Rule::Delivered => (format!("Delivered through {channel}."), "nothing"),
        Rule::Read => (format!("Read on {channel}."), "nothing"),
        Rule::Failed => (format!("Failed on {channel}: {title}."), "mend what it names, then `fairway dead-letters retry`, or follow up"),
        Rule::Expired => {
            let title = if title.is_empty() { "its time ran out before it could be sent" } else { title };
            (format!("Expired on {channel}: {title}."), "a higher rate or a longer `expires_after` reaches them next time")
        }
        Rule::Cancelled => (format!("Their message on {channel} was cancelled before it left: {why}."), "a follow-up reaches them"),
    }
}

fn held(hold: Hold, channel: &str, reason: &str) -> (String, &'static str) {
    let it = match hold {
        Hold::Retry => format!("Held: the last try on {channel} came to `{reason}`."),
        Hold::Channel => format!("Held: {channel} is paused or cannot send."),
        _ => format!("Held on {channel}: {reason}."),
    };
    let next = match hold {
        Hold::QuietHours => "it goes by itself when they end; `[quiet_hours]` and the channel's own hours set them",
        Hold::Cap => "it goes by itself when an earlier one has left the window; `[caps]` sets it",
        Hold::Window => "it goes by itself when the window opens; `schedule.window` sets it",
        Hold::Paused => "resume or cancel the campaign",
        Hold::Stopped => "look at the canary's failures, then resume or cancel the campaign",
        Hold::Channel => "GET /v1/channels shows why; mend it, or resume the channel",
        Hold::Limit => "it goes by itself when there is room; GET /v1/channels shows the limits",
        Hold::Behind => "it goes by itself when those have gone",
        Hold::Retry => "it is tried again by itself",
    };
    (it, next)
}

fn barred(bar: Bar, channel: &str) -> (String, &'static str) {
    let next = match bar {
        Bar::Domain | Bar::Prefix => "lift the suppression if it is wrong: DELETE /v1/suppressions/{id}",
        Bar::Gone => "nothing: it is lifted when they write to us or come back",
        Bar::Address => "lift the suppression if the address works again: DELETE /v1/suppressions/{id}",
        Bar::OptedOut => "nothing, until they say START or write it on their preference page",
        Bar::OptedOutMarketing | Bar::OptedOutProgram => "nothing, until they allow it again on their preference page",
        Bar::NotOptedIn => "ask for an opt-in, and record it with its evidence: POST /v1/consents",
    };
    (format!("Suppressed on {channel} by `{}`: {}", bar.code(), bar.title()), next)
}

#[cfg(test)]
mod tests;
