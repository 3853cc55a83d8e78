//! Reach: how channels stand to people at a moment. Asked with the very questions that a message meets on its way: which channel
//! and address a person gets it on, consent and suppressions as accept asks them, caps as they are asked on loading.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairway_adapters::contract::{Category, SendRequest, Time};
use serde::{Deserialize, Serialize};

use super::chain::ways;
use super::{Order, Plan};
use crate::channels::Channel;
use crate::clock;
use crate::consent;
use crate::people::address::normal;
use crate::people::traffic::Traffic;
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
    /// Before whom it goes within caps.
    priority: u16,
    /// Whether it goes on by the next channel.
    fallback: bool,
    /// What consent is asked about: category and program.
    request: SendRequest,
}

impl Way {
    /// As a plan says.
    pub fn new(plan: &Plan, channels: Vec<Arc<Channel>>, prices: Prices) -> Self {
        let request = SendRequest { category: plan.category, metadata: plan.metadata.clone(), ..SendRequest::default() };
        Self { order: plan.order, channels, prices, priority: plan.priority, fallback: plan.fallback.is_some(), request }
    }

    pub fn is_marketing(&self) -> bool {
        self.request.category == Category::Marketing
    }

    /// Whether it keeps room within caps free for its people.
    pub fn claims(&self) -> bool {
        self.is_marketing() && self.priority > 0
    }

    /// The places among the channels, and the addresses, that somebody with these addresses gets it on: the first, and with a
    /// fallback those that follow when it does not bring it to them.
    fn ways(&self, addresses: &[String]) -> Vec<(usize, String)> {
        let found = match self.fallback {
            true => ways(self.order, &self.channels, &self.prices, addresses, None),
            false => choose(self.order, &self.channels, &self.prices, addresses).into_iter().collect(),
        };
        let place = |(channel, to): (Arc<Channel>, String)| Some((self.channels.iter().position(|c| c.id == channel.id)?, to));
        found.into_iter().filter_map(place).collect()
    }
}

/// How everything stands to one person.
pub(super) struct Look {
    /// The channel and the address they get it on.
    pub chosen: Option<(usize, String)>,
    /// Those at which they get it when the ones before do not bring it to them.
    pub later: Vec<(usize, String)>,
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

/// The channel and address that somebody with these addresses gets it on; they are in order already (see [`Room::by_order`]).
pub(in crate::proactive) fn choose(
    order: Order,
    channels: &[Arc<Channel>],
    prices: &Prices,
    addresses: &[String],
) -> Option<(Arc<Channel>, String)> {
    let mut ways = addresses
        .iter()
        .enumerate()
        .flat_map(|(n, a)| channels.iter().enumerate().filter(move |(_, c)| c.reaches(a)).map(move |(m, c)| ((n, m), c, a)));
    let best = match order {
        Order::Preferred | Order::LastUsed => ways.next(),
        Order::Listed => ways.min_by_key(|((n, m), ..)| (*m, *n)),
        Order::Cheapest => ways.min_by_key(|(place, c, a)| (prices.of(c, a).unwrap_or(i64::MAX), *place)),
    };
    best.map(|(_, channel, address)| (Arc::clone(channel), address.clone()))
}

/// Addresses by when they last wrote, the latest first; what never wrote keeps its order behind them.
fn by_last_use(addresses: &[String], traffic: &HashMap<String, Traffic>) -> Vec<String> {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(|a| Reverse(traffic.get(&*normal(a)).and_then(|t| t.wrote)));
    sorted
}

impl Room {
    /// Each person's addresses in the order in which they are tried.
    pub(super) async fn by_order<'p>(
        &self,
        order: Order,
        people: impl IntoIterator<Item = &'p Person>,
    ) -> Result<Vec<Cow<'p, [String]>>, Failed> {
        let all: Vec<&[String]> = people.into_iter().map(|p| p.addresses.as_slice()).collect();
        if order != Order::LastUsed {
            return Ok(all.into_iter().map(Cow::Borrowed).collect());
        }
        // Who has one address has no choice.
        let several: Vec<String> = all.iter().filter(|a| a.len() > 1).flat_map(|a| a.iter().cloned()).collect();
        let traffic = self.parts.people.traffic(&several).await?;
        Ok(all.into_iter().map(|a| Cow::Owned(by_last_use(a, &traffic))).collect())
    }

    /// Looks how a way stands to people at a moment.
    pub(super) async fn look(&self, way: &Way, people: &[Person], now: Time) -> Result<Vec<Look>, Failed> {
        let mut looks = Vec::with_capacity(people.len());
        let (mut asked, mut of) = (Vec::new(), Vec::new());
        for (n, addresses) in self.by_order(way.order, people).await?.iter().enumerate() {
            let mut stands = vec![Stand::Unreachable; way.channels.len()];
            for (m, channel) in way.channels.iter().enumerate() {
                let Some((_, to)) = choose(way.order, std::slice::from_ref(channel), &way.prices, addresses) else { continue };
                if self.parts.acceptor.suppressed(channel, &to, &way.request).is_some() {
                    stands[m] = Stand::Suppressed;
                    continue;
                }
                stands[m] = Stand::Reachable;
                asked.push(to);
                of.push((n, m));
            }
            let mut ways = way.ways(addresses);
            // A chain goes on at once from an address that is known to be gone.
            let is_gone = |(m, to): &(usize, String)| {
                let barred = self.parts.acceptor.suppressed(&way.channels[*m], to, &way.request);
                barred.is_some_and(|reason| consent::is_gone(&reason))
            };
            if way.fallback && !ways.iter().all(is_gone) {
                ways.retain(|way| !is_gone(way));
            }
            let mut ways = ways.into_iter();
            looks.push(Look { chosen: ways.next(), later: ways.collect(), stands });
        }
        if way.is_marketing() {
            for ((n, m), over) in of.into_iter().zip(self.parts.consent.capped(&asked, way.priority, now).await?) {
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
        let way = Way { order: Order::default(), channels, prices: Prices::default(), priority: 0, fallback: false, request };
        let (now, mut reached) = (clock::now(), Reached::default());
        reached.channels = way.channels.iter().map(|c| (c.id.to_string(), Reach::default())).collect();
        let mut walk = self.walk(audience, now)?;
        while let Some(people) = self.next(&mut walk).await? {
            reached.add(&way, &self.look(&way, &people, now).await?);
        }
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_somebody_wrote_from_last_comes_first() {
        let addresses = ["tel:+15550100200", "viber:1", "telegram:1", "mailto:a@example.org"].map(str::to_owned);
        let wrote = |at: i64| Traffic { wrote: Some(Time(at)), read: None };
        let read = Traffic { wrote: None, read: Some(Time(90)) };
        let traffic = [("telegram:1", wrote(20)), ("viber:1", wrote(10)), ("mailto:a@example.org", read)];
        let traffic = traffic.map(|(a, t)| (a.to_owned(), t)).into();
        let expected = ["telegram:1", "viber:1", "tel:+15550100200", "mailto:a@example.org"];
        assert_eq!(by_last_use(&addresses, &traffic), expected);
        assert_eq!(by_last_use(&addresses, &HashMap::new()), addresses);
    }

    #[test]
    fn each_order_takes_its_channel() {
        let text = "[channels.tg]\nprovider = \"telegram\"\nbot_token = \"1:x\"\nwebhook_secret_token = \"abcdefghijklmnop\"\n\
            [channels.vb]\nprovider = \"viber\"\nauth_token = \"abc\"\nsender_name = \"ACME\"\n";
        let config = crate::config::Config::parse(text, std::path::Path::new("t.toml"), &|_| None).expect("a configuration");
        let bound = crate::channels::Channels::bind(&config).expect("channels");
        let channels = ["tg", "vb"].map(|name| Arc::clone(&bound.by_id[name]));
        let prices = Prices::parse(
            "currency = \"EUR\"\nprice = [{ channel = \"tg\", amount = \"0.01\" }, { channel = \"vb\", amount = \"0.02\" }]\n",
        );
        let addresses = ["viber:1", "telegram:1"].map(str::to_owned);
        for (order, prices, expected) in [
            (Order::Preferred, Prices::default(), "vb"),
            (Order::LastUsed, Prices::default(), "vb"),
            (Order::Listed, Prices::default(), "tg"),
            (Order::Cheapest, prices.expect("prices"), "tg"),
            (Order::Cheapest, Prices::default(), "vb"),
        ] {
            let (channel, _) = choose(order, &channels, &prices, &addresses).expect("a channel");
            assert_eq!(&*channel.id, expected, "{order:?}");
        }
    }
}
