//! How much one visitor, and one address, may do. Generous for people, tight for scripts.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use http::HeaderMap;

use super::reply::No;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Messages of a visitor.
    Message,
    /// Typing, reading, receipts, pages of a visitor.
    Sign,
    /// Uploads of a visitor.
    Upload,
    /// Sessions opened from an address.
    Session,
    /// Connections and polls from an address.
    Connection,
}

/// The limits, each with its own key.
pub struct Limits {
    message: DefaultKeyedRateLimiter<String>,
    sign: DefaultKeyedRateLimiter<String>,
    upload: DefaultKeyedRateLimiter<String>,
    session: DefaultKeyedRateLimiter<String>,
    connection: DefaultKeyedRateLimiter<String>,
    proxies: Vec<(IpAddr, u8)>,
    clock: governor::clock::DefaultClock,
}

/// `burst` at once, then one each `every`.
fn limiter(burst: u32, every: Duration) -> DefaultKeyedRateLimiter<String> {
    let quota = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::keyed(quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)))
}

impl Limits {
    pub(super) fn new(trusted_proxies: &[String]) -> Self {
        Self {
            message: limiter(30, Duration::from_millis(500)),
            sign: limiter(60, Duration::from_millis(200)),
            upload: limiter(20, Duration::from_secs(3)),
            session: limiter(60, Duration::from_secs(1)),
            connection: limiter(120, Duration::from_millis(250)),
            proxies: trusted_proxies.iter().filter_map(|text| network(text)).collect(),
            clock: governor::clock::DefaultClock::default(),
        }
    }

    /// Counts one more of a visitor's or an address's acts.
    pub fn check(&self, what: What, key: &str) -> Result<(), No> {
        let limiter = match what {
            What::Message => &self.message,
            What::Sign => &self.sign,
            What::Upload => &self.upload,
            What::Session => &self.session,
            What::Connection => &self.connection,
        };
        limiter.check_key(&key.to_owned()).map_err(|until| No::TooFast(until.wait_time_from(self.clock.now()).as_millis() as u64 + 1))
    }

    /// Forgets who has been quiet.
    pub fn tidy(&self) {
        for limiter in [&self.message, &self.sign, &self.upload, &self.session, &self.connection] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    /// Where a request comes from: what a trusted proxy says, else who is connected. An IPv6 address counts by its /64,
    /// because one person has all of it.
    pub fn source(&self, peer: SocketAddr, headers: &HeaderMap) -> String {
        let mut ip = peer.ip();
        let forwarded: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
        // From the right: each hop is believed only as far as the one that named it.
        for hop in forwarded.iter().rev() {
            if !self.proxies.iter().any(|(network, bits)| within(ip, *network, *bits)) {
                break;
            }
            let Ok(next) = hop.trim().parse() else { break };
            ip = next;
        }
        match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("{:x}:{:x}:{:x}:{:x}::", ip.segments()[0], ip.segments()[1], ip.segments()[2], ip.segments()[3]),
        }
    }
}

/// `10.0.0.0/8` or a single address.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
    let ip: IpAddr = ip.trim().parse().ok()?;
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(whole), |b| b.trim().parse().ok())?;
    (bits <= whole).then_some((ip, bits))
}

fn within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32 - u32::from(bits);
            u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128 - u32::from(bits);
            u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let limits = Limits::new(&["10.0.0.0/8".into(), "nonsense".into()]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "198.51.100.7, 203.0.113.9, 10.1.1.1".parse().expect("a value"));
        let from = |peer: &str| limits.source(peer.parse().expect("an address"), &headers);
        assert_eq!(from("10.2.3.4:1"), "203.0.113.9");
        assert_eq!(from("192.0.2.1:1"), "192.0.2.1");
        assert_eq!(from("[2001:db8:1:2:3::4]:1"), "2001:db8:1:2::");
        assert!(within("1.2.3.4".parse().expect("ip"), "0.0.0.0".parse().expect("ip"), 0));
    }

    #[test]
    fn who_does_too_much_is_told_how_long_to_wait() {
        let limits = Limits::new(&[]);
        let refused = (0..40).find_map(|_| limits.check(What::Message, "v-1").err());
        assert!(matches!(refused, Some(No::TooFast(ms)) if ms <= 501), "{refused:?}");
        assert!(limits.check(What::Message, "v-2").is_ok());
    }
}
