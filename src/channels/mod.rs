//! The configured channels with their bound adapters. The one room that calls adapter functions.
//!
//! Invariant: a [`Channels`] is never changed; a reload builds a new one and swaps it in whole.

mod live;
pub mod worded;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fairway_adapters::{
    Provider,
    contract::{Adapter, Facts, Settings, settings},
};

pub use live::Live;
pub use worded::Worded;

use crate::config::{self, Config};
use crate::ids;
use crate::log::UNITS;

/// A configured account of a provider.
pub struct Channel {
    /// Its name in the configuration, its id everywhere.
    pub id: Arc<str>,
    /// The provider.
    pub provider: &'static Provider,
    /// The bound adapter.
    pub adapter: Arc<dyn Adapter>,
    /// What it was bound to, for the room that is a provider itself. Holds secrets and prints none.
    pub settings: Settings,
    /// Whose channel it is.
    pub tenant: Option<String>,
    /// How many messages are accepted for that tenant.
    pub quota: Option<config::units::Rate>,
    /// The unit that owns its outbound work.
    pub unit: u32,
    /// Where the provider delivers.
    pub hook_url: String,
    /// The token in that URL, when the provider signs nothing.
    pub hook_token: Option<String>,
    /// What the configuration says about its limits.
    pub throttle: config::Throttle,
    /// Limits it shares.
    pub limits: Vec<(String, config::Limit)>,
    /// Whether marketing needs an opt-in.
    pub opt_in: bool,
    /// What STOP, START and HELP are answered.
    pub opt_out: config::consent::OptOut,
    /// The hours marketing keeps here, when they are its own.
    pub quiet_hours: Option<config::consent::Hours>,
    /// What shares the limits of its provider account.
    pub account: String,
}

impl Channel {
    /// What is known about its provider, by its settings where they say it.
    pub fn facts(&self) -> &'static Facts {
        self.adapter.facts().unwrap_or(self.provider.facts)
    }

    /// Whether an address has its provider's own scheme.
    fn owns(&self, address: &str) -> bool {
        address.split_once(':').is_some_and(|(scheme, _)| self.facts().schemes.first() == Some(&scheme))
    }

    /// What a person with this address uses: the provider's medium that has the address's scheme as its name, else its usual one.
    pub fn medium(&self, to: &str) -> &'static str {
        let (mediums, scheme) = (self.facts().mediums, to.split(':').next().unwrap_or_default());
        mediums.iter().find(|m| **m == scheme).or(mediums.first()).copied().unwrap_or("unknown")
    }

    /// Whether an address belongs to it.
    pub fn reaches(&self, address: &str) -> bool {
        address.split_once(':').is_some_and(|(scheme, _)| self.facts().schemes.contains(&scheme))
    }
}

/// A webhook URL and the channels it speaks for.
pub struct Hook {
    /// The channel whose adapter verifies and parses; all behind one URL share its secrets.
    pub entry: Arc<Channel>,
    /// Channels by the id that deliveries name them by.
    pub by_account: HashMap<String, Arc<Channel>>,
    /// The token in the URL.
    pub token: Option<String>,
    /// The URL as the provider knows it.
    pub url: String,
}

impl Hook {
    /// The channel an event belongs to.
    pub fn owner(&self, account: Option<&str>) -> Option<&Arc<Channel>> {
        match account {
            None => Some(&self.entry),
            Some(account) => match self.by_account.get(account) {
                Some(channel) => Some(channel),
                // An adapter without an account of its own takes whatever its deliveries name.
                None if self.entry.adapter.account().is_none() && self.by_account.is_empty() => Some(&self.entry),
                None => None,
            },
        }
    }
}

/// All of them.
#[derive(Default)]
pub struct Channels {
    /// By name.
    pub by_id: BTreeMap<String, Arc<Channel>>,
    /// By the name in the webhook path: channels and apps.
    pub hooks: HashMap<String, Hook>,
    /// By mail address and by mail domain, in lower case.
    pub by_mailbox: HashMap<String, Arc<Channel>>,
}

impl Channels {
    /// The channel that takes mail for an address: its own, without what stands behind a `+`, or that of its domain.
    pub fn mailbox(&self, address: &str) -> Option<&Arc<Channel>> {
        let address = address.to_lowercase();
        let (user, domain) = address.rsplit_once('@')?;
        let untagged = user.split_once('+').map(|(user, _)| format!("{user}@{domain}"));
        let names = [Some(address.as_str()), untagged.as_deref(), Some(domain)];
        names.into_iter().flatten().find_map(|name| self.by_mailbox.get(name))
    }

    /// Binds every configured channel. All errors at once, each with key and remedy.
    pub fn bind(config: &Config) -> Result<Self, config::Errors> {
        let mut errors = Vec::new();
        let file = config.path.display();
        let mut by_id = BTreeMap::new();
        for (name, channel) in &config.channels {
            let Some(provider) = fairway_adapters::provider(&channel.provider) else {
                let known: Vec<&str> = fairway_adapters::PROVIDERS.iter().map(|p| p.facts.id).collect();
                errors.push(format!(
                    "{file}: channels.{name}.provider: this build has no provider `{}`; {}",
                    channel.provider,
                    settings::nearest(&channel.provider, &known)
                ));
                continue;
            };
            let settings = Settings(own_settings(provider, config, channel));
            let adapter = match (provider.bind)(settings.clone()) {
                Ok(adapter) => adapter,
                Err(e) => {
                    errors.push(format!("{file}: channels.{name}.{}: {}; {}", e.key, e.problem, e.remedy));
                    continue;
                }
            };
            let facts = adapter.facts().unwrap_or(provider.facts);
            if facts.needs_hook_token && channel.hook_token.as_deref().unwrap_or_default().len() < 16 {
                errors.push(format!(
                    "{file}: channels.{name}.hook_token: this provider signs nothing, so its URL needs a token of at least 16 characters; add `hook_token = \"${{...}}\"`"
                ));
            }
            let path = channel.app.as_ref().unwrap_or(name);
            let token = channel.hook_token.as_ref().map(|t| format!("/{t}")).unwrap_or_default();
            by_id.insert(
                name.clone(),
                Channel {
                    id: name.as_str().into(),
                    provider,
                    unit: 0,
                    hook_url: format!("{}/hooks/{path}{token}", config.server.public_url),
                    hook_token: channel.hook_token.clone(),
                    tenant: channel.tenant.clone(),
                    quota: channel.tenant.as_ref().and_then(|t| config.tenants.get(t)).map(|t| t.messages),
                    throttle: channel.throttle.clone(),
                    limits: channel.limits.iter().filter_map(|l| Some((l.clone(), config.limits.get(l)?.clone()))).collect(),
                    opt_in: channel.consent == config::consent::Rule::OptIn,
                    opt_out: channel.opt_out.clone(),
                    quiet_hours: channel.quiet_hours,
                    account: account(provider, &*adapter, name),
                    adapter,
                    settings,
                },
            );
        }
        put_together(&mut by_id);
        agree(&mut by_id, &file.to_string(), &mut errors);
        let by_id = by_id.into_iter().map(|(name, channel)| (name, Arc::new(channel))).collect();
        let by_mailbox = mailboxes(config, &by_id, &mut errors);
        if !errors.is_empty() {
            return Err(config::Errors(errors));
        }
        let hooks = hooks(config, &by_id);
        Ok(Self { by_id, hooks, by_mailbox })
    }

    /// The channel for a send: named, or the only one whose own address it is, or the only one that fits the address.
    pub fn choose(&self, named: Option<&str>, address: &str) -> Result<&Arc<Channel>, ChooseError> {
        if let Some(name) = named {
            let known: Vec<&str> = self.by_id.keys().map(String::as_str).collect();
            let channel = self.by_id.get(name).ok_or_else(|| ChooseError::Unknown(settings::nearest(name, &known)))?;
            if !channel.reaches(address) {
                return Err(ChooseError::DoesNotReach(channel.facts().schemes.join(", ")));
            }
            return Ok(channel);
        }
        let fitting: Vec<&Arc<Channel>> = self.by_id.values().filter(|c| c.reaches(address)).collect();
        // Some providers carry what others are: the one whose own address it is comes first.
        let own: Vec<&Arc<Channel>> = fitting.iter().copied().filter(|c| c.owns(address)).collect();
        match (&own[..], &fitting[..]) {
            ([only], _) | ([], [only]) => Ok(only),
            ([], []) => Err(ChooseError::None),
            ([], several) | (several, _) => {
                let names: Vec<&str> = several.iter().map(|c| &*c.id).collect();
                Err(ChooseError::Several(names.join(", ")))
            }
        }
    }
}

/// Who takes mail for which address; what two channels claim is an error.
fn mailboxes(config: &Config, by_id: &BTreeMap<String, Arc<Channel>>, errors: &mut Vec<String>) -> HashMap<String, Arc<Channel>> {
    let file = config.path.display();
    let mut by_mailbox: HashMap<String, Arc<Channel>> = HashMap::new();
    for (name, channel) in by_id {
        let wanted = &config.channels[name].mailboxes;
        if !wanted.is_empty() && channel.settings.0.get("hook_secret").is_none_or(serde_json::Value::is_null) {
            errors.push(format!(
                "{file}: channels.{name}.mailboxes: this channel takes no mail from our listener; remove it, or add `hook_secret` where the provider has one"
            ));
        }
        for mailbox in wanted {
            let key = mailbox.trim_start_matches('@').to_lowercase();
            if let Some(other) = by_mailbox.insert(key, Arc::clone(channel)) {
                errors.push(format!("{file}: channels.{name}.mailboxes: `{mailbox}` is of channel {} too; leave it to one", other.id));
            }
        }
    }
    by_mailbox
}

/// Why no channel could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// There is no channel of that name.
    #[error("there is no such channel; {0}")]
    Unknown(String),
    /// The channel has other addresses.
    #[error("this channel cannot reach that address; its addresses begin with {0}")]
    DoesNotReach(String),
    /// No channel reaches the address.
    #[error("no configured channel reaches that address")]
    None,
    /// Several do.
    #[error("several channels reach that address; say which: {0}")]
    Several(String),
}

/// The channel's settings without those of the app that its adapter does not know.
fn own_settings(provider: &Provider, config: &Config, channel: &config::Channel) -> serde_json::Map<String, serde_json::Value> {
    let schema = (provider.schema)();
    let known = |key: &str| schema.pointer(&format!("/properties/{key}")).is_some();
    let app = channel.app.as_ref().and_then(|a| config.apps.get(a));
    let from_app = |key: &str| app.is_some_and(|a| a.settings.contains_key(key));
    channel.settings.iter().filter(|(k, _)| known(k) || !from_app(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// One webhook URL per app, and one per channel.
fn hooks(config: &Config, by_id: &BTreeMap<String, Arc<Channel>>) -> HashMap<String, Hook> {
    let mut hooks = HashMap::new();
    let family =
        |name: &str| -> Vec<&Arc<Channel>> { by_id.values().filter(|c| config.channels[&*c.id].app.as_deref() == Some(name)).collect() };
    let hook = |entry: &Arc<Channel>, members: &[&Arc<Channel>]| Hook {
        by_account: members.iter().filter_map(|c| Some((c.adapter.account()?.to_owned(), Arc::clone(c)))).collect(),
        token: entry.hook_token.clone(),
        url: entry.hook_url.clone(),
        entry: Arc::clone(entry),
    };
    for name in config.apps.keys() {
        let members = family(name);
        if let Some(entry) = members.first() {
            hooks.insert(name.clone(), hook(entry, &members));
        }
    }
    for (name, channel) in by_id {
        let members = match &config.channels[name].app {
            Some(app) => family(app),
            None => vec![channel],
        };
        let token = channel.hook_token.as_ref().map(|t| format!("/{t}")).unwrap_or_default();
        hooks.insert(name.clone(), Hook { url: format!("{}/hooks/{name}{token}", config.server.public_url), ..hook(channel, &members) });
    }
    hooks
}

fn account(provider: &Provider, adapter: &dyn Adapter, name: &str) -> String {
    match adapter.limit_group() {
        Some(group) => format!("{}/{group}", provider.facts.id),
        None => format!("channel/{name}"),
    }
}

/// Channels that share a limit, directly or through others, make one group and so one unit: a limit has one owner. What they share is
/// `[limits.NAME]` or the provider account; the group is named by what joined its first channel.
fn put_together(channels: &mut BTreeMap<String, Channel>) {
    let mut groups: HashMap<String, String> = HashMap::new();
    for channel in channels.values() {
        let named = channel.limits.iter().map(|(name, _)| format!("limit/{name}"));
        let ties: Vec<String> = named.chain([channel.account.clone()]).collect();
        let joined: Vec<String> = ties.iter().filter_map(|tie| groups.get(tie).cloned()).collect();
        let label = joined.first().unwrap_or(&ties[0]).clone();
        groups.values_mut().filter(|g| joined.contains(g)).for_each(|g| g.clone_from(&label));
        groups.extend(ties.into_iter().map(|tie| (tie, label.clone())));
    }
    for channel in channels.values_mut() {
        channel.unit = unit_of(&groups[&channel.account]);
    }
}

/// What one channel says about its account's limit holds for all channels of the account; two different words are an error.
fn agree(channels: &mut BTreeMap<String, Channel>, file: &str, errors: &mut Vec<String>) {
    let mut said: HashMap<String, (config::units::Rate, String)> = HashMap::new();
    for (name, channel) in channels.iter() {
        let Some(rate) = channel.throttle.per_account else { continue };
        let (first, other) = said.entry(channel.account.clone()).or_insert_with(|| (rate, name.clone()));
        if *first != rate {
            errors.push(format!(
                "{file}: channels.{name}.throttle.per_account: channel {other} has the same provider account and says {first}; say it once, or the same"
            ));
        }
    }
    for channel in channels.values_mut() {
        channel.throttle.per_account = said.get(&channel.account).map(|(rate, _)| *rate);
    }
}

/// The unit of a limit group. Part of the format: it must never change.
fn unit_of(group: &str) -> u32 {
    (ids::fingerprint(&[b"limit-group", group.as_bytes()]) >> 96) as u32 % UNITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_limit_has_one_owner() {
        let sender = |name: &str, portfolio: &str, more: &str| {
            format!(
                "[channels.{name}]\nprovider='whatsapp'\nphone_number_id='{name}'\nwaba_id='w'\naccess_token='t'\napp_secret='s'\nverify_token='v'\n\
                 display_phone_number='+15550100200'\nportfolio_id='{portfolio}'\n{more}\n"
            )
        };
        let text = [
            sender("a", "p1", ""),
            sender("b", "p2", "limits=['x']"),
            sender("c", "p1", "limits=['x']"),
            sender("d", "p2", ""),
            sender("e", "p3", ""),
            "[limits.x]\nrate='10/s'".to_owned(),
        ];
        let config = Config::parse(&text.concat(), std::path::Path::new("test.toml"), &|_| None).expect("it is valid");
        let channels = Channels::bind(&config).expect("they bind");
        let unit = |name: &str| channels.by_id[name].unit;
        assert_eq!(["b", "c", "d"].map(unit), [unit("a"); 3], "joined by an account, by a limit, and through each other");
        assert_eq!(unit("e"), unit_of("whatsapp/p3"));
    }

    #[test]
    fn an_account_has_one_limit() {
        let channel = |name: &str, more: &str| {
            format!(
                "[channels.{name}]\nprovider='whatsapp'\nphone_number_id='{name}'\nwaba_id='w'\naccess_token='t'\napp_secret='s'\nverify_token='v'\n\
                 display_phone_number='+15550100200'\nportfolio_id='p'\n{more}\n"
            )
        };
        let bind = |a: &str, b: &str| {
            let text = channel("a", a) + &channel("b", b);
            Channels::bind(&Config::parse(&text, std::path::Path::new("test.toml"), &|_| None).expect("it is valid"))
        };
        let once = bind("", "throttle = { per_account = '100/s' }").expect("said once");
        assert_eq!(once.by_id["a"].throttle.per_account.map(|rate| rate.count), Some(100), "it is the limit of both");
        bind("throttle = { per_account = '100/s' }", "throttle = { per_account = '100/s' }").expect("said twice");
        let errors = bind("throttle = { per_account = '100/s' }", "throttle = { per_account = '50/s' }").err().expect("two limits");
        assert!(
            errors.to_string().contains("channels.b.throttle.per_account: channel a has the same provider account and says 100/s"),
            "{errors}"
        );
    }
}
