//! The configuration file: read, completed from the embedded default, checked.
//!
//! The default is the file we ship (`config/fairway.toml`), compiled in, so that reference and defaults cannot drift apart.
//! Every error names the file, the key and the remedy, and all errors of a file are reported at once.

pub mod consent;
pub mod egress;
pub mod units;

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fairway_adapters::contract::{Settings, settings};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use units::{Bytes, CountryCode, Rate, Span};

/// The commented default.
pub const DEFAULT: &str = include_str!("../../config/fairway.toml");

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listener for webhooks (and the API, unless it has its own).
    pub server: Server,
    /// The HTTP API.
    pub api: Api,
    /// The log.
    pub log: crate::log::config::Config,
    /// How long things are kept.
    pub retention: crate::log::config::Retention,
    /// The store.
    pub store: Store,
    /// Media.
    pub media: Media,
    /// Provider-side applications.
    pub apps: BTreeMap<String, App>,
    /// Channels.
    pub channels: BTreeMap<String, Channel>,
    /// Limits shared between channels.
    pub limits: BTreeMap<String, Limit>,
    /// Tenants with a quota.
    pub tenants: BTreeMap<String, Tenant>,
    /// Consent.
    pub consent: consent::Consent,
    /// The hours marketing keeps.
    pub quiet_hours: consent::QuietHours,
    /// How much one person gets.
    pub caps: consent::Caps,
    /// Simulated providers.
    pub sandbox: Sandbox,
    /// Where it was read from.
    pub path: PathBuf,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// What providers and browsers see.
    pub public_url: String,
    /// Serve TLS.
    pub tls: Option<Tls>,
    /// Networks whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The largest webhook body.
    pub max_body: Bytes,
    /// How long a client may take for the request head.
    pub head_timeout: Span,
    /// How long a client may take for the body.
    pub body_timeout: Span,
    /// Take mail, for channels that name their `mailboxes`.
    pub smtp: Option<Smtp>,
}

/// `[server.smtp]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Address and port; mail servers deliver to port 25.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// What it calls itself; the host of `public_url` when absent. The MX record leads here.
    pub hostname: Option<String>,
    /// The largest mail.
    #[serde(default = "Smtp::largest")]
    pub max_message: Bytes,
    /// Connections at a time.
    #[serde(default = "Smtp::connections")]
    pub max_connections: usize,
    /// The certificate for STARTTLS, when it is not that of `server.tls`.
    pub tls: Option<Tls>,
    /// Whether mail is taken over TLS only.
    #[serde(default)]
    pub require_tls: bool,
}

impl Smtp {
    fn largest() -> Bytes {
        Bytes(30 << 20)
    }

    fn connections() -> usize {
        200
    }
}

/// Certificate and key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `[api]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// A port of its own.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// Requests per key.
    pub rate: Rate,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` when there is more than one node.
    pub url: String,
}

impl Store {
    /// Where it is, without the password.
    pub fn shown(&self) -> String {
        match url::Url::parse(&self.url) {
            Ok(mut url) if url.password().is_some() => {
                let _ = url.set_password(Some("***"));
                url.into()
            }
            _ => self.url.clone(),
        }
    }
}

/// `[media]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Folder.
    pub path: PathBuf,
    /// The largest file.
    pub max_size: Bytes,
}

/// `[sandbox]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// Whether providers are simulated.
    #[serde(default)]
    pub enabled: bool,
    /// The same seed gives the same ids.
    #[serde(default)]
    pub seed: u64,
}

/// `[apps.NAME]`: settings of a provider-side application.
#[derive(Clone, Debug)]
pub struct App {
    /// The provider.
    pub provider: String,
    /// Its settings; every channel of the app has them below its own.
    pub settings: Map<String, Value>,
}

/// `[channels.NAME]`: what the engine reads; the rest is the adapter's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Channel {
    /// The provider.
    pub provider: String,
    /// The app whose webhook URL and secrets it shares.
    pub app: Option<String>,
    /// Limits shared with other channels.
    #[serde(default)]
    pub limits: Vec<String>,
    /// For a channel too big for one owner. Changed only when drained.
    pub shards: Option<u32>,
    /// Whose channel it is.
    pub tenant: Option<String>,
    /// Replaces the provider's documented limits.
    #[serde(default)]
    pub throttle: Throttle,
    /// The token in the URL, for providers that sign nothing.
    pub hook_token: Option<String>,
    /// Mail addresses and domains whose mail `[server.smtp]` takes for this channel. `a@x` is also `a+anything@x`.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// What marketing needs on this channel.
    #[serde(default)]
    pub consent: consent::Rule,
    /// What STOP, START and HELP are answered.
    #[serde(default)]
    pub opt_out: consent::OptOut,
    /// The hours marketing keeps on this channel; those of `[quiet_hours]` where it is left out.
    pub quiet_hours: Option<consent::Hours>,
    /// How its HTTP calls leave this machine; straight where it is left out.
    pub egress: Option<egress::Egress>,
    /// The adapter's own settings, with those of the app below them.
    #[serde(skip)]
    pub settings: Map<String, Value>,
}

/// `[channels.NAME.throttle]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// The sender's limit.
    pub rate: Option<Rate>,
    /// The limit of the provider account, shared by all channels of it: what one of them says holds for the others too.
    pub per_account: Option<Rate>,
    /// The limit per recipient.
    pub per_recipient: Option<Rate>,
    /// The limit per group, where people of several write in one conversation.
    pub per_group: Option<Rate>,
    /// The limit of each template.
    pub per_template: Option<Rate>,
    /// The limit of numbers of a country (ISO 3166-1 alpha-2: `DE = "10/s"`), in segments.
    #[serde(default)]
    pub per_country: BTreeMap<CountryCode, Rate>,
    /// Calls in flight.
    pub concurrency: Option<u32>,
}

/// `[limits.NAME]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Messages of all channels that name it.
    pub rate: Option<Rate>,
    /// Unique people reached outside a reply window.
    pub people: Option<Rate>,
}

/// `[tenants.NAME]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Messages that are accepted for all its channels in a period. Periods begin at whole multiples of their length, a day at midnight UTC.
    pub messages: Rate,
}

/// Everything that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// The file that is read when none is named. It need not be there.
pub const USUAL: &str = "config/fairway.toml";

/// The keys of a channel that the engine reads.
const CHANNEL_KEYS: [&str; 12] =
    ["provider", "app", "limits", "shards", "tenant", "throttle", "hook_token", "mailboxes", "consent", "opt_out", "quiet_hours", "egress"];

impl Config {
    /// Reads a file. A missing default file is the embedded default.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && path == Path::new(USUAL) => DEFAULT.to_owned(),
            Err(e) => {
                let remedy = match e.kind() {
                    std::io::ErrorKind::InvalidData => "save it as UTF-8",
                    std::io::ErrorKind::PermissionDenied => "let this user read it",
                    _ => "name an existing file with --config",
                };
                return Err(Errors(vec![format!("{}: cannot be read: {e}; {remedy}", path.display())]));
            }
        };
        Self::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// Reads a text; `env` answers for `${NAME}`.
    pub fn parse(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Errors> {
        let mut reading = Reading { file: path.display().to_string(), errors: Vec::new(), env };
        let config = reading.config(text, path);
        match config {
            Some(config) if reading.errors.is_empty() => Ok(config),
            _ => Err(Errors(reading.errors)),
        }
    }

    /// Whether `public_url` is loopback, so that the API may answer without a key.
    pub fn is_loopback(&self) -> bool {
        url::Url::parse(&self.server.public_url).ok().is_some_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        })
    }
}

struct Reading<'e> {
    file: String,
    errors: Vec<String>,
    env: &'e dyn Fn(&str) -> Option<String>,
}

impl Reading<'_> {
    fn wrong(&mut self, key: &str, problem: impl fmt::Display) {
        self.errors.push(format!("{}: {key}: {problem}", self.file));
    }

    fn config(&mut self, text: &str, path: &Path) -> Option<Config> {
        let default: toml::Table = toml::from_str(DEFAULT).expect("the embedded default is valid TOML");
        let mut given: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(e) => {
                self.wrong("syntax", format_args!("{}; mend the line named", e.to_string().trim_end()));
                return None;
            }
        };
        const SECTIONS: [&str; 14] = [
            "server",
            "api",
            "log",
            "retention",
            "store",
            "media",
            "consent",
            "quiet_hours",
            "caps",
            "apps",
            "channels",
            "limits",
            "tenants",
            "sandbox",
        ];
        for key in given.keys().cloned().collect::<Vec<_>>() {
            if !SECTIONS.contains(&key.as_str()) {
                self.wrong(&key, format_args!("unknown section; {}", settings::nearest(&key, &SECTIONS)));
            }
        }
        for section in ["server", "api", "log", "retention", "store", "media", "consent", "quiet_hours"] {
            let base = default.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default();
            let entry = given.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(table) = entry.as_table_mut() {
                for (key, value) in base {
                    table.entry(key).or_insert(value);
                }
            }
        }
        let mut value = serde_json::to_value(given).unwrap_or_default();
        self.substitute("", &mut value);
        let mut root = match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut take = |name: &str| root.shift_remove(name).unwrap_or(Value::Object(Map::new()));
        let (server, api, log, retention) = (take("server"), take("api"), take("log"), take("retention"));
        let (store, media, sandbox) = (take("store"), take("media"), take("sandbox"));
        let (apps, channels, limits, tenants) = (take("apps"), take("channels"), take("limits"), take("tenants"));
        let (consent, quiet_hours, caps) = (take("consent"), take("quiet_hours"), take("caps"));
        let server: Option<Server> = self.section("server", server);
        let api = self.section("api", api);
        let log: Option<crate::log::config::Config> = self.section("log", log);
        let retention = self.section("retention", retention);
        let store: Option<Store> = self.section("store", store);
        let media = self.section("media", media);
        let sandbox: Option<Sandbox> = self.section("sandbox", sandbox);
        let consent = self.section("consent", consent);
        let quiet_hours = self.section("quiet_hours", quiet_hours);
        let caps = self.section("caps", caps);
        let apps = self.apps(apps);
        let channels = self.channels(channels, &apps);
        let limits: BTreeMap<String, Limit> = self.named("limits", limits);
        let tenants: BTreeMap<String, Tenant> = self.named("tenants", tenants);
        let names: Vec<&str> = channels.values().filter_map(|c| c.tenant.as_deref()).collect();
        for tenant in tenants.keys().filter(|t| !names.contains(&t.as_str())) {
            let remedy = settings::nearest(tenant, &names);
            self.wrong(&format!("tenants.{tenant}"), format_args!("no channel says `tenant = \"{tenant}\"`; {remedy}"));
        }
        for (name, channel) in &channels {
            for limit in channel.limits.iter().filter(|l| !limits.contains_key(*l)) {
                let known: Vec<&str> = limits.keys().map(String::as_str).collect();
                let remedy = settings::nearest(limit, &known);
                self.errors.push(format!("{}: channels.{name}.limits: there is no [limits.{limit}]; {remedy}", self.file));
            }
            if apps.contains_key(name) {
                self.wrong(
                    &format!("channels.{name}"),
                    "an app has the same name, so both would have the webhook path /hooks/NAME; rename one",
                );
            }
        }
        let (mut server, log, store) = (server?, log?, store?);
        server.public_url.truncate(server.public_url.trim_end_matches('/').len());
        match url::Url::parse(&server.public_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => self.wrong("server.public_url", "is not an http or https URL; write what providers call, such as https://gw.example.org"),
        }
        if log.kind == crate::log::config::Kind::Kafka && log.brokers.as_deref().unwrap_or_default().is_empty() {
            self.wrong("log.brokers", "missing; `kind = \"kafka\"` needs `brokers = \"host:9092\"`");
        }
        if server.smtp.as_ref().is_some_and(|smtp| smtp.require_tls && smtp.tls.is_none()) && server.tls.is_none() {
            self.wrong("server.smtp.require_tls", "there is no certificate; set `server.smtp.tls` or `server.tls`, or leave this out");
        }
        let boxes = channels.iter().find(|(_, channel)| !channel.mailboxes.is_empty() && server.smtp.is_none());
        if let Some((name, _)) = boxes {
            self.wrong(&format!("channels.{name}.mailboxes"), "nothing takes mail; add `[server.smtp]` with `listen = \"0.0.0.0:25\"`");
        }
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| store.url.starts_with(scheme)) {
            self.wrong("store.url", "is neither kind of store; write `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`");
        }
        Some(Config {
            server,
            api: api?,
            log,
            retention: retention?,
            store,
            media: media?,
            apps,
            channels,
            limits,
            tenants,
            consent: consent?,
            quiet_hours: quiet_hours?,
            caps: caps?,
            sandbox: sandbox?,
            path: path.to_owned(),
        })
    }

    fn section<T: DeserializeOwned + JsonSchema>(&mut self, name: &str, value: Value) -> Option<T> {
        let Value::Object(map) = value else {
            self.wrong(name, format_args!("expected a table; write [{name}]"));
            return None;
        };
        let mut settings = Settings(map);
        let mut told: Vec<String> = Vec::new();
        loop {
            match settings.parse() {
                Ok(section) => return Some(section),
                Err(e) => {
                    let key = e.key.split('.').next().unwrap_or_default().to_owned();
                    if told.contains(&key) {
                        return None;
                    }
                    self.wrong(&format!("{name}.{}", e.key), format_args!("{}; {}", e.problem, e.remedy));
                    // The next mistake shows with what is built in, or nothing, in its place.
                    let built_in = toml::from_str::<toml::Table>(DEFAULT).ok().and_then(|d| d.get(name)?.get(&key).cloned());
                    match built_in.and_then(|value| serde_json::to_value(value).ok()) {
                        Some(value) => drop(settings.0.insert(key.clone(), value)),
                        None => drop(settings.0.shift_remove(&key)?),
                    }
                    told.push(key);
                }
            }
        }
    }

    fn apps(&mut self, value: Value) -> BTreeMap<String, App> {
        let mut apps = BTreeMap::new();
        for (name, value) in self.tables("apps", value) {
            let key = format!("apps.{name}");
            self.name(&key, &name);
            let mut settings = value;
            match settings.shift_remove("provider") {
                Some(Value::String(provider)) => {
                    apps.insert(name, App { provider, settings });
                }
                _ => self.wrong(&key, "provider is missing; add `provider = \"...\"`"),
            }
        }
        apps
    }

    fn channels(&mut self, value: Value, apps: &BTreeMap<String, App>) -> BTreeMap<String, Channel> {
        let mut channels = BTreeMap::new();
        for (name, value) in self.tables("channels", value) {
            let key = format!("channels.{name}");
            self.name(&key, &name);
            let (own, mut settings): (Map<_, _>, Map<_, _>) = value.into_iter().partition(|(k, _)| CHANNEL_KEYS.contains(&k.as_str()));
            let Some(mut channel) = self.section::<Channel>(&key, Value::Object(own)) else { continue };
            if let Some(app) = &channel.app {
                match apps.get(app) {
                    None => {
                        let known: Vec<&str> = apps.keys().map(String::as_str).collect();
                        self.wrong(&key, format_args!("there is no [apps.{app}]; {}", settings::nearest(app, &known)));
                    }
                    Some(found) if found.provider != channel.provider => {
                        self.wrong(
                            &key,
                            format_args!("its app is of provider {}, the channel of {}; make them equal", found.provider, channel.provider),
                        );
                    }
                    Some(found) => {
                        for (k, v) in &found.settings {
                            settings.entry(k.clone()).or_insert_with(|| v.clone());
                        }
                    }
                }
            }
            channel.settings = settings;
            channels.insert(name, channel);
        }
        channels
    }

    fn named<T: DeserializeOwned + JsonSchema>(&mut self, section: &str, value: Value) -> BTreeMap<String, T> {
        let mut named = BTreeMap::new();
        for (name, value) in self.tables(section, value) {
            if let Some(one) = self.section(&format!("{section}.{name}"), Value::Object(value)) {
                named.insert(name, one);
            }
        }
        named
    }

    /// The tables of a section that is made of tables.
    fn tables(&mut self, section: &str, value: Value) -> Vec<(String, Map<String, Value>)> {
        let Value::Object(map) = value else {
            self.wrong(section, format_args!("expected tables; write [{section}.NAME]"));
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(map.len());
        for (name, value) in map {
            match value {
                Value::Object(table) => tables.push((name, table)),
                _ => self.wrong(&format!("{section}.{name}"), format_args!("expected a table; write [{section}.{name}]")),
            }
        }
        tables
    }

    fn name(&mut self, key: &str, name: &str) {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.len() > 63 || name.starts_with('-') || !name.chars().all(fine) {
            self.wrong(key, "not a name; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit");
        }
    }

    /// Replaces `${NAME}`, `${NAME:-default}` and `file:PATH` in every text.
    fn substitute(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::String(text) => match self.substituted(text) {
                Ok(done) => *text = done,
                Err(problem) => self.wrong(key, problem),
            },
            Value::Array(items) => items.iter_mut().for_each(|item| self.substitute(key, item)),
            Value::Object(map) => {
                for (name, item) in map.iter_mut() {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    self.substitute(&key, item);
                }
            }
            _ => {}
        }
    }

    fn substituted(&self, text: &str) -> Result<String, String> {
        if let Some(path) = text.strip_prefix("file:") {
            let read = fs::read_to_string(path).map_err(|e| format!("the file {path} cannot be read: {e}; mount it or name another"))?;
            return Ok(read.trim_end_matches(['\n', '\r']).to_owned());
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let Some(end) = rest[start..].find('}') else {
                return Err("`${` without `}`; write ${NAME} or ${NAME:-default}".into());
            };
            let inside = &rest[start + 2..start + end];
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(n, d)| (n, Some(d)));
            match ((self.env)(name).filter(|v| !v.is_empty()), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => return Err(format!("the environment variable {name} is not set; set it, or write ${{{name}:-default}}")),
            }
            rest = &rest[start + end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
