//! Links to a person's own page: whom and which channel it is about lies sealed in the link, so nobody can make or read one.

use crate::seal::Seal;

/// What the seal is for.
const PURPOSE: &str = "preferences";

/// The link to the page of a person on a channel; also the target of RFC 8058's one click.
pub fn link(seal: &Seal, public_url: &str, channel: &str, address: &str) -> String {
    let normal = crate::people::address::normal(address);
    format!("{public_url}/p/{}", seal.seal(PURPOSE, &format!("{channel}\n{normal}")))
}

/// The channel and the address that a token of ours is about.
pub fn open(seal: &Seal, token: &str) -> Option<(String, String)> {
    let text = seal.open(PURPOSE, token)?;
    let (channel, address) = text.split_once('\n')?;
    Some((channel.to_owned(), address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_for_us_alone() {
        let seal = Seal::new(b"a secret of the tests");
        let link = link(&seal, "http://gw", "acme-sms", "tel:+1 555 010 0200");
        let token = link.strip_prefix("http://gw/p/").expect("a link");
        assert_eq!(open(&seal, token), Some(("acme-sms".into(), "tel:+15550100200".into())));
        assert_eq!(open(&Seal::new(b"another"), token), None);
        assert_eq!(open(&seal, &seal.seal("else", "acme-sms\ntel:+15550100200")), None);
    }
}
