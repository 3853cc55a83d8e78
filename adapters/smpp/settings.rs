//! The settings of an account, and what must hold among them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::errors;
use crate::contract::session::{Endpoint, Tls};
use crate::contract::{ErrorClass, Secret, SettingsError};

/// What `data_coding` 0 means at this provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// GSM 03.38.
    #[default]
    Gsm7,
    /// ISO-8859-1.
    Latin1,
    /// ASCII.
    Ascii,
}

/// How long texts go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Long {
    /// In parts with a header of 8-bit reference: what every provider takes.
    #[default]
    Udh8,
    /// In parts with a header of 16-bit reference.
    Udh16,
    /// In parts with `sar_*` tags; the provider writes the header.
    Sar,
    /// Whole in `message_payload`; the provider cuts it.
    Payload,
}

/// How the ids of receipts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// As in the answer to the message.
    Same,
    /// The answer has hexadecimal digits, the receipt decimal ones.
    #[serde(rename = "resp_hex_dlr_dec")]
    AnswerHexReceiptDec,
    /// The answer has decimal digits, the receipt hexadecimal ones.
    #[serde(rename = "resp_dec_dlr_hex")]
    AnswerDecReceiptHex,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BindMode {
    /// Each in both directions.
    #[default]
    Trx,
    /// One to send and one to receive.
    TxRx,
}

/// The settings of an SMPP account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// Where the message centre is: `smpp.example.net:2775`; the next ones are tried when the first cannot be reached.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether connections are encrypted. Without it the password can be read on the way.
    #[serde(default)]
    pub tls: bool,
    /// The name in the message centre's certificate, when it is not that of its host.
    pub tls_server_name: Option<String>,
    /// A certificate authority of your own that signed it, in PEM (`file:ca.pem`).
    pub tls_ca: Option<String>,
    /// The account.
    pub system_id: String,
    /// Its password.
    pub password: Secret,
    /// Its type, where the provider wants one.
    #[serde(default)]
    pub system_type: String,
    /// How connections are used.
    #[serde(default)]
    pub bind_mode: BindMode,
    /// How many connections, or pairs of them, the contract allows.
    #[serde(default = "one")]
    pub binds: u8,
    /// Messages that may be without an answer on one connection.
    #[serde(default = "ten")]
    pub window: u16,
    /// Parts a second that the contract allows, over all connections.
    pub tps: Option<u32>,
    /// Seconds after which we ask whether the other side is still there.
    #[serde(default = "half_a_minute")]
    pub enquire_link_s: u16,
    /// Seconds after which a message without an answer is in doubt.
    #[serde(default = "half_a_minute")]
    pub response_timeout_s: u16,
    /// The number or name messages go out from.
    #[serde(default)]
    pub sender: String,
    /// The sender's type of number; by its looks when absent.
    pub source_ton: Option<u8>,
    /// The sender's numbering plan; by its looks when absent.
    pub source_npi: Option<u8>,
    /// The recipients' type of number.
    #[serde(default = "one")]
    pub dest_ton: u8,
    /// The recipients' numbering plan.
    #[serde(default = "one")]
    pub dest_npi: u8,
    /// What `data_coding` 0 means there.
    #[serde(default)]
    pub default_alphabet: Alphabet,
    /// Whether GSM-7 is packed, eight characters in seven octets. Nearly nobody does.
    #[serde(default)]
    pub gsm_packed: bool,
    /// How long texts go out.
    #[serde(default)]
    pub long_mode: Long,
    /// How the ids of receipts are written; found out when absent.
    pub receipt_id_base: Option<Base>,
    /// Which receipts are asked for (`registered_delivery`).
    #[serde(default = "one")]
    pub registered_delivery: u8,
    /// Seconds a message is kept for a phone that is off; the provider's default when absent.
    pub validity_s: Option<u32>,
    /// `service_type`.
    #[serde(default)]
    pub service_type: String,
    /// Optional fields of every message, by tag: `{ "0x1400" = "1101234567890123456" }`.
    #[serde(default)]
    pub tlvs: BTreeMap<String, String>,
    /// What the provider's own status codes mean: `{ "0x410" = "opted_out" }`.
    #[serde(default)]
    pub error_classes: BTreeMap<String, ErrorClass>,
    /// Seconds to wait for the missing parts of a long message to us.
    #[serde(default = "five_minutes")]
    pub reassembly_s: u16,
    /// Whether look-alikes (quotes, dashes) are replaced where that saves a text from UCS-2.
    #[serde(default)]
    pub smart_encoding: bool,
    /// The most parts a text may have.
    pub max_parts: Option<u32>,
    /// Where the message centre is, for tests: `tcp://127.0.0.1:2775`; stands for `hosts`.
    pub api_base: Option<String>,
}

fn one() -> u8 {
    1
}

fn ten() -> u16 {
    10
}

fn half_a_minute() -> u16 {
    30
}

fn five_minutes() -> u16 {
    300
}

pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    // SMPP 3.4, section 5.2: C-octet strings with their NUL.
    let fits = |key: &str, value: &str, most: usize| match value.len() < most && value.is_ascii() && !value.contains('\0') {
        true => Ok(()),
        false => Err(SettingsError::new(key, "too long, or not ASCII", format!("at most {} characters of ASCII", most - 1))),
    };
    fits("system_id", &settings.system_id, 16)?;
    // The standard says 8; some message centres take more.
    fits("password", settings.password.reveal(), 65)?;
    fits("system_type", &settings.system_type, 13)?;
    fits("service_type", &settings.service_type, 6)?;
    fits("sender", &settings.sender, 21)?;
    for (key, value) in [
        ("binds", u32::from(settings.binds)),
        ("window", u32::from(settings.window)),
        ("tps", settings.tps.unwrap_or(1)),
        ("enquire_link_s", u32::from(settings.enquire_link_s)),
        ("response_timeout_s", u32::from(settings.response_timeout_s)),
        ("reassembly_s", u32::from(settings.reassembly_s)),
    ] {
        if value == 0 {
            return Err(SettingsError::new(key, "zero", "use at least 1"));
        }
    }
    match settings.error_classes.keys().find(|key| errors::number(key).is_none()) {
        Some(_) => Err(SettingsError::new("error_classes", "a key that is no code", "write `{ \"0x410\" = \"opted_out\" }`")),
        None => Ok(()),
    }
}

/// The places to connect to.
pub(super) fn endpoints(settings: &Settings) -> Result<Vec<Endpoint>, SettingsError> {
    let wrong = |key: &str| SettingsError::new(key, "no host and port", "write `smpp.example.net:2775`");
    let place = |key: &str, written: &str| {
        let url = if written.contains("://") { written.to_owned() } else { format!("tcp://{written}") };
        let url = url::Url::parse(&url).map_err(|_| wrong(key))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong(key))?;
        Ok((host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(2775)))
    };
    if let Some(base) = &settings.api_base {
        let (host, port) = place("api_base", base)?;
        return Ok(vec![Endpoint { host, port, tls: None }]);
    }
    if settings.hosts.is_empty() {
        return Err(SettingsError::new("hosts", "missing", "add `hosts = [\"smpp.example.net:2775\"]`"));
    }
    let tls =
        |host: &str| Tls { name: settings.tls_server_name.clone().unwrap_or_else(|| host.to_owned()), authority: settings.tls_ca.clone() };
    settings
        .hosts
        .iter()
        .map(|written| {
            let (host, port) = place("hosts", written)?;
            Ok(Endpoint { tls: settings.tls.then(|| tls(&host)), host, port })
        })
        .collect()
}
