//! The list of metrics. It is true because no other place can name one.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric with its labels. Labels have few values: never a person, a token or an id.
#[derive(Debug, serde::Serialize)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// A sentence.
    pub help: &'static str,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// Upper bounds, for histograms.
    pub buckets: &'static [f64],
}

const FAST: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SLOW: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal $(, $buckets:ident)?;)*) => {
        $(#[doc = $help] pub static $constant: Metric = Metric {
            name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*], buckets: metrics!(@ $($buckets)?),
        };)*
        /// All of them.
        pub static METRICS: &[&Metric] = &[$(&$constant),*];
    };
    (@) => { &[] };
    (@ $buckets:ident) => { $buckets };
}

metrics! {
    WEBHOOKS = Counter "fairway_webhooks_total" ["channel", "outcome"] "Webhook deliveries by outcome: accepted, duplicate, unparsed, missing, mismatch, stale, no_keys, too_large, slow, unknown_channel, bad_request, unavailable.";
    EVENTS = Counter "fairway_events_total" ["channel", "type"] "Events made durable.";
    WEBHOOK_SECONDS = Histogram "fairway_webhook_duration_seconds" ["channel"] "From the complete request head to the answer.", FAST;
    CONNECTIONS = Gauge "fairway_connections" [] "Open connections on the listener.";
    APPEND_SECONDS = Histogram "fairway_log_append_duration_seconds" [] "From an append to its durability.", FAST;
    LOG_READY = Gauge "fairway_log_ready" [] "1 while an event can be made durable, in log or spool.";
    SPOOL_RECORDS = Gauge "fairway_spool_records" [] "Records lying in the spool.";
    SPOOL_BYTES = Gauge "fairway_spool_bytes" [] "Bytes lying in the spool.";
    ACCEPTED = Counter "fairway_messages_accepted_total" ["channel", "lane"] "Messages accepted for sending.";
    STATES = Counter "fairway_message_states_total" ["channel", "state"] "Messages that reached a state.";
    FAILURES = Counter "fairway_message_failures_total" ["channel", "error_class"] "Failed messages by class.";
    CALLS = Counter "fairway_provider_calls_total" ["channel", "outcome"] "Provider calls by outcome: accept, throttle, retry, unclear, reject, unreachable, suspend, not_sent, unknown.";
    CALL_SECONDS = Histogram "fairway_provider_call_duration_seconds" ["channel"] "From the first byte written to the answer.", FAST;
    QUEUE_SECONDS = Histogram "fairway_message_queue_duration_seconds" ["channel", "lane"] "From accepted to sent.", SLOW;
    LANE_DEPTH = Gauge "fairway_lane_depth" ["channel", "lane"] "Messages waiting in the window of a lane.";
    LANE_LAG = Gauge "fairway_lane_lag_seconds" ["channel", "lane"] "Age of the oldest message in the window of a lane.";
    PARKED = Gauge "fairway_messages_parked" ["channel"] "Messages waiting in the schedule.";
    THROTTLE_WAITS = Counter "fairway_throttle_waits_total" ["channel", "scope"] "Times a message had to wait for a limit.";
    IN_DOUBT = Gauge "fairway_messages_in_doubt" ["channel"] "Messages whose outcome at the provider is unknown.";
    DEAD = Counter "fairway_dead_letters_total" ["channel"] "Messages that ended as dead letters.";
    SUSPENDED = Gauge "fairway_channel_suspended" ["channel"] "1 while a channel cannot send until somebody mends it.";
    BREAKER = Gauge "fairway_channel_breaker_open" ["channel"] "1 while the circuit breaker is open.";
    SESSION_LINES = Gauge "fairway_channel_connections" ["channel"] "Connections that carry messages, where a channel has its own.";
    UNITS_OWNED = Gauge "fairway_units_owned" [] "Units this node owns.";
    PROJECTOR_LAG = Gauge "fairway_projector_lag_seconds" [] "Age of the oldest record the views have not seen.";
    MEDIA = Counter "fairway_media_total" ["channel", "outcome"] "Media objects by outcome: ready, unavailable, retried.";
    DELIVERIES = Counter "fairway_webhook_deliveries_total" ["outcome"] "Events delivered to webhook endpoints of ours: delivered, failed, disabled.";
    CONSENTS = Counter "fairway_consents_total" ["channel", "outcome"] "Words and signs of people about being written to: opted_out, opted_in, block, address_gone, refused, review.";
    HELD = Counter "fairway_marketing_held_total" ["channel", "reason"] "Marketing held by reason: quiet_hours, cap.";
    API_REQUESTS = Counter "fairway_api_requests_total" ["code"] "API requests by status.";
    CHAT_SOCKETS = Gauge "fairway_webchat_connections" [] "Open web chat connections.";
    CAMPAIGN_PEOPLE = Counter "fairway_campaign_people_total" ["outcome"] "People of campaigns whose turn came: accepted (their message lies in its lane), ended (they got none).";
    DUE_MESSAGES = Counter "fairway_due_messages_total" [] "Messages of reminders, triggers and journeys whose time came.";
    BUILD = Gauge "fairway_build_info" ["version"] "Always 1.";
}
