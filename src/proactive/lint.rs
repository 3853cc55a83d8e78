//! The lint: every word of a template over every person of the real audience, before anything is sent.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fairway_adapters::contract::SendRequest;
use serde::Serialize;

use super::audiences::Person;
use super::templates::{Source, Writer};
use super::{Failed, Room, Wrong, content};
use crate::channels::Channel;
use crate::clock;

/// Different complaints that are told.
const TOLD: usize = 100;
/// Messages of each channel and locale that are shown to the channel's adapter.
const SHOWN: u32 = 20;

/// What a lint found.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Lint {
    /// People looked at.
    pub people: u64,
    /// People for whom every word is there.
    pub fine: u64,
    /// People whom none of the channels reaches.
    pub unreachable: u64,
    /// Attributes that are asked for and missing: how many people lack each, and the line of the first.
    pub missing: BTreeMap<String, Lack>,
    /// What a channel would refuse, or a text that fails, each told once.
    pub problems: Vec<Complaint>,
}

/// An attribute that people lack.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Lack {
    /// How many lack it.
    pub people: u64,
    /// The line of the first of them.
    pub line: u64,
}

/// A complaint.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Complaint {
    /// The channel.
    pub channel: String,
    /// Where in the words.
    pub pointer: String,
    /// What.
    pub detail: String,
    /// The line of the first person it happens to.
    pub line: u64,
}

/// The channel of a person: the first address that one of these reaches, in this order of preference.
pub fn first_reached<'p>(channels: &[Arc<Channel>], person: &'p Person) -> Option<(Arc<Channel>, &'p str)> {
    person.addresses.iter().find_map(|a| Some((Arc::clone(channels.iter().find(|c| c.reaches(a))?), a.as_str())))
}

impl Room {
    /// The channels of these names, in their order.
    pub fn channels(&self, names: &[String], pointer: &str) -> Result<Vec<Arc<Channel>>, Failed> {
        let bound = self.parts.channels.get();
        let unknown = |n: usize, name: &str| Wrong::at(format!("{pointer}/{n}"), "channel_unknown", format!("there is no channel {name}"));
        names.iter().enumerate().map(|(n, name)| bound.by_id.get(name).cloned().ok_or_else(|| unknown(n, name).into())).collect()
    }

    /// Lints words over an audience.
    pub async fn lint(&self, source: Source, audience: &str, channels: &[String]) -> Result<Lint, Failed> {
        let mut walk = self.walk(&self.audience(audience).await?, clock::now())?;
        let channels = self.channels(channels, "#/channels")?;
        let strict = Writer::new(source.clone(), true)?;
        let mut lint = Lint::default();
        let mut shown: BTreeMap<(String, Option<String>), u32> = BTreeMap::new();
        let mut told = HashSet::new();
        while let Some(people) = self.next(&mut walk).await? {
            for person in &people {
                lint.people += 1;
                let Some((channel, to)) = first_reached(&channels, person) else {
                    lint.unreachable += 1;
                    continue;
                };
                let key = (channel.id.to_string(), person.locale.clone());
                let look = shown.entry(key).or_default();
                *look += 1;
                let look = *look <= SHOWN;
                match self.lint_one(&strict, &channel, to, person, look).await {
                    Ok(()) => lint.fine += 1,
                    Err(Found::Lacks(names)) => {
                        for name in names {
                            let lack = lint.missing.entry(name).or_insert(Lack { people: 0, line: person.number });
                            lack.people += 1;
                        }
                    }
                    Err(Found::Complains(wrong)) => {
                        if lint.problems.len() < TOLD && told.insert((channel.id.clone(), wrong.pointer.clone(), wrong.detail.clone())) {
                            let (pointer, detail) = (wrong.pointer, wrong.detail);
                            lint.problems.push(Complaint { channel: channel.id.to_string(), pointer, detail, line: person.number });
                        }
                    }
                }
            }
        }
        Ok(lint)
    }

    async fn lint_one(&self, words: &Writer, channel: &Arc<Channel>, to: &str, person: &Person, look: bool) -> Result<(), Found> {
        let about = person.about();
        let locale = person.locale.as_deref();
        let written = match words.write(locale, channel, to, &about) {
            Ok(written) => written,
            Err(wrong) => {
                let lacks = content::lacking(&words.names(locale, channel, to), &about);
                return Err(if lacks.is_empty() { Found::Complains(wrong) } else { Found::Lacks(lacks) });
            }
        };
        if !look {
            return Ok(());
        }
        let request = written.into_request(SendRequest { to: Some(to.to_owned()), ..SendRequest::default() });
        match self.parts.acceptor.preview(&request, channel, to).await.rendered {
            Ok(_) => Ok(()),
            Err(refused) => Err(Found::Complains(Wrong { pointer: refused.pointer, code: refused.code, detail: refused.detail })),
        }
    }
}

enum Found {
    Lacks(Vec<String>),
    Complains(Wrong),
}
