//! The wall: addresses that come from users must not lead into our own network.
//!
//! Names are resolved here and the resolved addresses are checked and used, so that a name cannot answer differently the
//! second time.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::Error;

/// A resolver that answers with public addresses only.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Whether loopback counts as public (a gateway on loopback, for trying things out).
    pub local: bool,
}

impl Service<Name> for Wall {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let local = self.local;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.filter(|a| is_public(a.ip()) || local && a.ip().is_loopback()).collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the name leads to a private address only"));
            }
            Ok(found.into_iter())
        })
    }
}

/// Refuses a URL whose host is a private address written out; those never reach the resolver.
pub(super) fn check_literal(uri: &Uri, local: bool) -> Result<(), Error> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) if !(is_public(ip) || local && ip.is_loopback()) => Err(Error::Walled("the address is private".into())),
        _ => Ok(()),
    }
}

/// Whether an address is one of the public internet (RFC 6890 and its successors list what is not).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match (v6.to_ipv4_mapped(), v6.segments()) {
            (Some(v4), _) => is_public_v4(v4),
            // NAT64 and 6to4 carry an IPv4 address that must be public itself.
            (None, [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..]) => {
                is_public_v4(Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)))
            }
            (None, segments) => is_public_v6(v6, segments),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr, segments: [u16; 8]) -> bool {
    !(ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || segments[0] & 0xfe00 == 0xfc00
        || segments[0] & 0xffc0 == 0xfe80
        || segments[0] & 0xffc0 == 0xfec0
        || segments[0] == 0x2001 && segments[1] == 0xdb8
        || segments[..6] == [0; 6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_stay_behind_the_wall() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
            "ff02::1",
            "198.18.0.1",
            "192.0.2.1",
        ] {
            assert!(!is_public(ip.parse().expect(ip)), "{ip}");
        }
        for ip in ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "172.32.0.1", "100.128.0.1"] {
            assert!(is_public(ip.parse().expect(ip)), "{ip}");
        }
    }
}
