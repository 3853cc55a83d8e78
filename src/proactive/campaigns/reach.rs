//! Reach: how channels stand to people at a moment. Asked with the very questions that a message meets on its way: which channel
//! and address a person gets it on, consent and suppressions as accept asks them, caps as they are asked on loading.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairway_adapters::contract::{Category, SendRequest, Time};
use serde::{Deserialize, Serialize};

use super::expand::choose;
use super::{Order, Plan};
use crate::channels::Channel;
use crate::clock;
use crate::proactive::audiences::{Audience, Person};
use crate::proactive::prices::Prices;
use crate::proactive::{Failed, Room};

/// People by how one channel stands to them; adds up to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ChannelReach)]
pub struct Reach {
    /// They can be written to now.
    pub reachable: u64,
    /// They do not want it, or a suppression covers them.
    pub suppressed: u64,
    /// They have had all the marketing that caps allow; it would wait.
    pub capped: u64,
    /// It reaches none of their addresses.
    pub unreachable: u64,
}

/// How channels stand to people at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AudienceReach)]
pub struct Reached {
    /// Everybody, those who get nothing on purpose included.
    pub people: u64,
    /// By the channel that each person would get it on.
    pub total: Reach,
    /// By each channel, as if it were the only one.
    pub channels: BTreeMap<String, Reach>,
}

/// How a channel stands to a person.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stand {
    Reachable,
    Suppressed,
    /// Until then.
    Capped(Time),
    Unreachable,
}

impl Reach {
    fn add(&mut self, stand: &Stand) {
        *match stand {
            Stand::Reachable => &mut self.reachable,
            Stand::Suppressed => &mut self.suppressed,
            Stand::Capped(_) => &mut self.capped,
            Stand::Unreachable => &mut self.unreachable,
        } += 1;
    }
}

/// How people are written to.
pub(super) struct Way {
    pub order: Order,
    pub channels: Vec<Arc<Channel>>,
    pub prices: Prices,
    /// What consent is asked about: category and program.
    request: SendRequest,
}

impl Way {
    /// As a plan says.
    pub fn new(plan: &Plan, channels: Vec<Arc<Channel>>, prices: Prices) -> Self {
        let request = SendRequest { category: plan.category, metadata: plan.metadata.clone(), ..SendRequest::default() };
        Self { order: plan.order, channels, prices, request }
    }

    pub fn is_marketing(&self) -> bool {
        self.request.category == Category::Marketing
    }

    /// The place among the channels, and the address, that a person gets it on.
    fn chosen(&self, person: &Person) -> Option<(usize, String)> {
        let (channel, to) = choose(self.order, &self.channels, &self.prices, person)?;
        Some((self.channels.iter().position(|c| c.id == channel.id)?, to))
    }
}

/// How everything stands to one person.
pub(super) struct Look {
    /// The channel and the address they get it on.
    pub chosen: Option<(usize, String)>,
    /// By channel.
    stands: Vec<Stand>,
}

impl Look {
    /// How the channel that they get it on stands to them.
    pub fn stand(&self) -> &Stand {
        self.chosen.as_ref().and_then(|(channel, _)| self.stands.get(*channel)).unwrap_or(&Stand::Unreachable)
    }
}

impl Reached {
    /// Counts people in.
    pub(super) fn add(&mut self, way: &Way, looks: &[Look]) {
        for look in looks {
            self.people += 1;
            self.total.add(look.stand());
            for (channel, stand) in way.channels.iter().zip(&look.stands) {
                self.channels.entry(channel.id.to_string()).or_default().add(stand);
            }
        }
    }
}

impl Room {
    /// Looks how a way stands to people at a moment.
    pub(super) async fn look(&self, way: &Way, people: &[Person], now: Time) -> Result<Vec<Look>, Failed> {
        let mut looks = Vec::with_capacity(people.len());
        let (mut asked, mut of) = (Vec::new(), Vec::new());
        for (n, person) in people.iter().enumerate() {
            let mut stands = vec![Stand::Unreachable; way.channels.len()];
            for (m, channel) in way.channels.iter().enumerate() {
                let Some((_, to)) = choose(way.order, std::slice::from_ref(channel), &way.prices, person) else { continue };
                if self.parts.acceptor.suppressed(channel, &to, &way.request).is_some() {
                    stands[m] = Stand::Suppressed;
                    continue;
                }
                stands[m] = Stand::Reachable;
                asked.push(to);
                of.push((n, m));
            }
            looks.push(Look { chosen: way.chosen(person), stands });
        }
        if way.is_marketing() {
            for ((n, m), over) in of.into_iter().zip(self.parts.consent.capped(&asked, now).await?) {
                if let Some((until, _)) = over {
                    looks[n].stands[m] = Stand::Capped(until);
                }
            }
        }
        Ok(looks)
    }

    /// Counts how channels stand to an audience now, for messages of a category.
    pub async fn count(&self, audience: &Audience, channels: &[String], category: Category) -> Result<Reached, Failed> {
        let request = SendRequest { category, ..SendRequest::default() };
        let channels = self.channels(channels, "#/channels")?;
        let way = Way { order: Order::default(), channels, prices: Prices::default(), request };
        let (now, mut reached) = (clock::now(), Reached::default());
        reached.channels = way.channels.iter().map(|c| (c.id.to_string(), Reach::default())).collect();
        let mut walk = self.walk(audience, now)?;
        while let Some(people) = self.next(&mut walk).await? {
            reached.add(&way, &self.look(&way, &people, now).await?);
        }
        Ok(reached)
    }
}
